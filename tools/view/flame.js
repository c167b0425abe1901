// SPDX-License-Identifier: BSD-3-Clause
// The page's program. Nodes are numbered in preorder, the root 0, so a subtree is the range [i, end[i])
// and a parent's number is below its children's. What the data look like: page.c.
//
// A frame is as wide as what was sampled in it and below it; with a base, as the larger of the two
// profiles' values, so that what is gone still shows. Negative values (a profile that is itself a
// difference) have no width.
'use strict';

const ROW = 18; // height of a frame in CSS pixels
const MIN = 0.4; // frames narrower than this are not drawn
const FONT = '12px ui-monospace, Menlo, Consolas, monospace';

const $ = (id) => document.getElementById(id);
const state = { column: 0, zoom: 0, hover: -1, dark: false, pattern: '' };
let meta, nodes, frames, matches;

// ---- data ----

async function unpack(text) {
	const bytes = Uint8Array.from(atob(text.replace(/\s+/g, '')), (c) => c.charCodeAt(0));
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
	return new Uint8Array(await new Response(stream).arrayBuffer());
}

function reader(bytes) {
	let at = 0;
	return {
		varint() {
			let v = 0, scale = 1, b;
			do {
				b = bytes[at++];
				v += (b & 127) * scale;
				scale *= 128;
			} while (b & 128);
			return v;
		},
		signed() {
			const v = this.varint();
			return v % 2 ? -(v + 1) / 2 : v / 2;
		},
		text(n) {
			at += n;
			return new TextDecoder().decode(bytes.subarray(at - n, at));
		},
		more: () => at < bytes.length,
	};
}

function parse(bytes) {
	const r = reader(bytes);
	meta = JSON.parse(r.text(r.varint()));
	const n = { name: [], inlined: [], parent: [], depth: [], self: [] };
	const sides = meta.base === null ? 1 : 2;
	const width = meta.columns.length * sides;
	for (let k = 0; k < width; k++)
		n.self.push([]);
	const open = []; // [node, children still to come]
	while (r.more()) {
		const i = n.name.length, word = r.varint(), children = r.varint(), mask = r.varint();
		n.name.push(Math.floor(word / 2));
		n.inlined.push(word % 2);
		n.parent.push(open.length ? open[open.length - 1][0] : -1);
		n.depth.push(open.length);
		for (let k = 0; k < width; k++)
			n.self[k].push(Math.floor(mask / 2 ** k) % 2 ? r.signed() : 0);
		if (open.length)
			open[open.length - 1][1]--;
		open.push([i, children]);
		while (open.length && open[open.length - 1][1] === 0)
			open.pop();
	}
	nodes = {
		n: n.name.length,
		name: Uint32Array.from(n.name),
		inlined: Uint8Array.from(n.inlined),
		parent: Int32Array.from(n.parent),
		depth: Uint32Array.from(n.depth),
		self: n.self.map((v) => Float64Array.from(v)),
		end: new Uint32Array(n.name.length),
	};
	for (let i = nodes.n - 1; i >= 0; i--) {
		nodes.end[i] = Math.max(nodes.end[i], i + 1);
		if (i)
			nodes.end[nodes.parent[i]] = Math.max(nodes.end[nodes.parent[i]], nodes.end[i]);
	}
}

const selfOf = (i) => nodes.self[state.column][i];
const baseSelfOf = (i) => (meta.base === null ? 0 : nodes.self[meta.columns.length + state.column][i]);

// Totals, widths and places of all frames for the chosen column.
function measure() {
	const n = nodes.n;
	frames = {
		total: new Float64Array(n),
		base: new Float64Array(n),
		width: new Float64Array(n),
		x: new Float64Array(n),
	};
	for (let i = n - 1; i >= 0; i--) {
		frames.total[i] += selfOf(i);
		frames.base[i] += baseSelfOf(i);
		frames.width[i] += Math.max(0, selfOf(i), baseSelfOf(i));
		if (i) {
			const p = nodes.parent[i];
			frames.total[p] += frames.total[i];
			frames.base[p] += frames.base[i];
			frames.width[p] += frames.width[i];
		}
	}
	const next = new Float64Array(n); // where the next child of each begins
	for (let i = 1; i < n; i++) {
		const p = nodes.parent[i];
		frames.x[i] = next[p];
		next[p] += frames.width[i];
		next[i] = frames.x[i];
	}
}

// ---- text ----

const nameOf = (i) => (i ? meta.names[nodes.name[i]] : 'all');

const UNITS = {
	bytes: [['PB', 2 ** 50], ['TB', 2 ** 40], ['GB', 2 ** 30], ['MB', 2 ** 20], ['kB', 1024], ['B', 1]],
	nanoseconds: [['s', 1e9], ['ms', 1e6], ['us', 1e3], ['ns', 1]],
};

function valueText(v) {
	const unit = meta.columns[state.column][1];
	const list = UNITS[unit] || [[unit === 'count' ? '' : ' ' + unit, 1]];
	const [text, factor] = list.find((u) => Math.abs(v) >= u[1]) || list[list.length - 1];
	return (v / factor).toFixed(2).replace(/\.00$/, '') + text;
}

const percentText = (v, of) => (of ? (100 * v / of).toFixed(2) : '0') + '%';
const signText = (v) => (v > 0 ? '+' : '') + valueText(v);

function detailsText(i) {
	const total = frames.total[i];
	let text = nameOf(i) + (nodes.inlined[i] ? ' (inline)' : '') + ': ';
	text += `${valueText(total)}, ${percentText(total, frames.total[0])} of all`;
	if (state.zoom)
		text += `, ${percentText(total, frames.total[state.zoom])} of ${nameOf(state.zoom)}`;
	text += `; in itself ${valueText(selfOf(i))}`;
	if (meta.base !== null) {
		const base = frames.base[i], change = total - base;
		text += `; base ${valueText(base)}, change ${signText(change)}`;
		if (base)
			text += ` (${change > 0 ? '+' : ''}${percentText(change, Math.abs(base))})`;
	}
	return text;
}

function summaryText() {
	const [type] = meta.columns[state.column];
	let text = `${type}: ${valueText(frames.total[0])} in ${nodes.n - 1} calls`;
	if (meta.base !== null)
		text += `; base ${meta.base}: ${valueText(frames.base[0])}, change ${signText(frames.total[0] - frames.base[0])}`;
	if (state.zoom)
		text += `; zoomed to ${nameOf(state.zoom)}`;
	if (matches)
		text += `; ${matches.functions} functions match, ${percentText(matches.value, frames.total[0])} of all`;
	return text;
}

// ---- search ----

function matcher(pattern) {
	const regexp = /^\/(.*)\/(i?)$/.exec(pattern);
	if (regexp) {
		try {
			const r = new RegExp(regexp[1], regexp[2]);
			return (name) => r.test(name);
		} catch (e) {
			return () => false; // not finished yet
		}
	}
	const low = pattern.toLowerCase();
	return (name) => name.toLowerCase().includes(low);
}

// Counts what lies in or below a match, once where matches call each other.
function search() {
	matches = null;
	if (!state.pattern)
		return;
	const test = matcher(state.pattern);
	const hit = Uint8Array.from(meta.names, (name) => (test(name) ? 1 : 0));
	matches = { hit, functions: hit.reduce((a, b) => a + b, 0), value: 0 };
	for (let i = 1; i < nodes.n;) {
		if (hit[nodes.name[i]]) {
			matches.value += frames.total[i];
			i = nodes.end[i];
		} else {
			i++;
		}
	}
}

// ---- drawing ----

function hash(name) {
	let h = 2166136261;
	for (let i = 0; i < name.length; i++)
		h = Math.imul(h ^ name.charCodeAt(i), 16777619);
	return h >>> 0;
}

const hues = new Map(); // of functions: [hue, shade]
function hueOf(i) {
	const id = nodes.name[i];
	if (!hues.has(id)) {
		const name = nameOf(i), h = hash(name);
		// The runtime's own frames are cool, the program's warm.
		hues.set(id, [/^(gort|rt)_/.test(name) ? 165 + h % 40 : 12 + h % 42, h >>> 8 & 7]);
	}
	return hues.get(id);
}

function colour(i) {
	if (i === 0)
		return state.dark ? '#3a3b3e' : '#dcdcd6';
	const [hue, shade] = hueOf(i);
	return `hsl(${hue} ${nodes.inlined[i] ? 45 : 70}% ${(state.dark ? 30 : 70) + shade}%)`;
}

// Red for more than the base, blue for less, deeper the larger the share of the frame.
function changeColour(share) {
	const s = Math.min(1, Math.abs(share)), hue = share > 0 ? 6 : 214;
	if (s < 0.005)
		return state.dark ? '#3a3b3e' : '#e4e4df';
	return state.dark ? `hsl(${hue} ${25 + 55 * s}% ${28 + 16 * s}%)` : `hsl(${hue} ${40 + 45 * s}% ${88 - 30 * s}%)`;
}

function fillOf(i) {
	if (matches && i && matches.hit[nodes.name[i]])
		return state.dark ? 'hsl(292 60% 45%)' : 'hsl(292 75% 78%)';
	if (meta.base === null)
		return colour(i);
	const most = Math.max(Math.abs(frames.total[i]), Math.abs(frames.base[i]));
	return changeColour(most ? (frames.total[i] - frames.base[i]) / most : 0);
}

// Calls visit(node, left, width in pixels) for all frames that show: the zoomed one's callers over the
// whole width, then its subtree, without what is too narrow.
function eachFrame(pixels, visit) {
	const z = state.zoom;
	for (let i = nodes.parent[z]; i >= 0; i = nodes.parent[i])
		visit(i, 0, pixels);
	const scale = frames.width[z] > 0 ? pixels / frames.width[z] : 0;
	for (let i = z; i < nodes.end[z];) {
		const w = i === z ? pixels : frames.width[i] * scale;
		if (w < MIN) {
			i = nodes.end[i];
			continue;
		}
		visit(i, (frames.x[i] - frames.x[z]) * scale, w);
		i++;
	}
}

function drawFrame(c, i, x, y, w) {
	c.fillStyle = fillOf(i);
	c.globalAlpha = i < state.zoom && nodes.end[i] > state.zoom ? 0.55 : 1;
	c.fillRect(x, y, Math.max(MIN, w - (w > 3 ? 1 : 0)), ROW - 1);
	c.globalAlpha = 1;
	if (i === state.hover) {
		c.strokeStyle = state.dark ? '#fff' : '#000';
		c.strokeRect(x + 0.5, y + 0.5, Math.max(1, w - 2), ROW - 2);
	}
	const room = Math.floor((w - 8) / c.letter);
	if (room < 3)
		return;
	const name = nameOf(i);
	c.fillStyle = state.dark ? '#f0f0ee' : '#1c1c1c';
	c.fillText(name.length <= room ? name : name.slice(0, room - 1) + '…', x + 4, y + ROW / 2);
}

function visibleRows() {
	let deepest = 0;
	eachFrame($('scroll').clientWidth, (i) => {
		deepest = Math.max(deepest, nodes.depth[i]);
	});
	return deepest + 1;
}

function draw() {
	const box = $('scroll'), canvas = $('graph'), ratio = window.devicePixelRatio || 1;
	const w = box.clientWidth, h = box.clientHeight, top = box.scrollTop;
	if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
		canvas.width = Math.round(w * ratio);
		canvas.height = Math.round(h * ratio);
		canvas.style.width = w + 'px';
		canvas.style.height = h + 'px';
	}
	const c = canvas.getContext('2d');
	c.setTransform(ratio, 0, 0, ratio, 0, 0);
	c.clearRect(0, 0, w, h);
	c.font = FONT;
	c.textBaseline = 'middle';
	c.letter = c.measureText('m').width;
	eachFrame(w, (i, x, width) => {
		const y = nodes.depth[i] * ROW - top;
		if (y > -ROW && y < h)
			drawFrame(c, i, x, y, width);
	});
}

function refresh() {
	$('height').style.height = Math.max(visibleRows() * ROW, $('scroll').clientHeight) + 'px';
	$('summary').textContent = summaryText();
	$('reset').disabled = state.zoom === 0;
	draw();
}

// ---- what the reader does ----

function frameAt(event) {
	const box = $('graph').getBoundingClientRect();
	const x = event.clientX - box.left, row = Math.floor((event.clientY - box.top + $('scroll').scrollTop) / ROW);
	let found = -1;
	eachFrame(box.width, (i, left, w) => {
		if (nodes.depth[i] === row && x >= left && x < left + w)
			found = i;
	});
	return found;
}

function hover(i) {
	if (i === state.hover)
		return;
	state.hover = i;
	$('details').textContent = i < 0 ? '' : detailsText(i);
	draw();
}

function zoom(i) {
	if (i < 0)
		return;
	state.zoom = i;
	refresh();
	remember();
}

function setColumn(i) {
	state.column = i;
	measure();
	search();
	refresh();
}

function setTheme(dark) {
	state.dark = dark;
	document.documentElement.classList.toggle('dark', dark);
	$('theme').textContent = dark ? 'light' : 'dark';
	draw();
}

function setPattern(pattern) {
	state.pattern = pattern;
	search();
	refresh();
}

// The view is kept in the address, so that it can be handed on.
function remember() {
	const p = new URLSearchParams();
	if (state.column !== meta.shown)
		p.set('values', meta.columns[state.column][0]);
	if (state.pattern)
		p.set('search', state.pattern);
	if (state.zoom)
		p.set('zoom', state.zoom);
	history.replaceState(null, '', '#' + p);
}

function recall() {
	const p = new URLSearchParams(location.hash.slice(1));
	const column = meta.columns.findIndex((c) => c[0] === p.get('values'));
	const z = Number(p.get('zoom'));
	state.column = column < 0 ? meta.shown : column;
	state.pattern = p.get('search') || '';
	state.zoom = Number.isInteger(z) && z > 0 && z < nodes.n ? z : 0;
	$('column').value = state.column;
	$('search').value = state.pattern;
}

function listen() {
	const graph = $('graph');
	graph.addEventListener('mousemove', (e) => hover(frameAt(e)));
	graph.addEventListener('mouseleave', () => hover(-1));
	graph.addEventListener('click', (e) => zoom(frameAt(e)));
	$('scroll').addEventListener('scroll', draw);
	window.addEventListener('resize', refresh);
	$('reset').addEventListener('click', () => zoom(0));
	$('theme').addEventListener('click', () => setTheme(!state.dark));
	$('column').addEventListener('change', (e) => {
		setColumn(Number(e.target.value));
		remember();
	});
	$('search').addEventListener('input', (e) => {
		setPattern(e.target.value);
		remember();
	});
	window.addEventListener('keydown', (e) => {
		if (e.key === 'Escape')
			zoom(0);
		if (e.key === '/' && e.target !== $('search')) {
			$('search').focus();
			e.preventDefault();
		}
	});
}

function fillHeader() {
	$('title').textContent = meta.title;
	meta.columns.forEach(([type, unit], i) => $('column').add(new Option(unit === 'count' ? type : `${type} (${unit})`, i)));
	if (meta.base !== null) {
		$('legend').hidden = false;
		[['more than the base', 1], ['as much', 0], ['less', -1]].forEach(([text, share]) => {
			const box = document.createElement('span');
			box.style.background = changeColour(share);
			$('legend').append(box, text);
		});
	}
}

async function start() {
	if (typeof DecompressionStream === 'undefined') {
		$('summary').textContent = 'This browser is too old for the page: it has no DecompressionStream.';
		return;
	}
	parse(await unpack($('data').textContent));
	fillHeader();
	recall();
	measure();
	search();
	listen();
	setTheme(window.matchMedia('(prefers-color-scheme: dark)').matches);
	refresh();
}

start();
