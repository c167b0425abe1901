// SPDX-License-Identifier: BSD-3-Clause
// What the streaming writer writes, read back by protobuf-c's generated decoder.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "encode/profile.h"
#include "profile_io.h"

TestSuite(encode, .timeout = 10);

static pprof_profile *
round_trip(struct rtp_region *r, const struct rtp_profile_args *a, bool gzip)
{
	char err[256] = "";
	FILE *f = tmpfile();
	struct rtp_out *o = rtp_out_new(fileno(f), gzip);
	cr_assert_eq(rtp_profile_write(r, a, o), 0);
	cr_assert_eq(rtp_out_close(o), 0);
	lseek(fileno(f), 0, SEEK_SET);
	pprof_profile *p = profile_read(fileno(f), err, sizeof(err));
	cr_assert_not_null(p, "%s", err);
	fclose(f);
	return p;
}

static const char *
type_of(const pprof_profile *p, int i)
{
	return profile_string(p, p->sample_type[i]->type);
}

static void
add_mapping(struct rtp_region *r, uint64_t lo, uint64_t hi, const char *path)
{
	struct rtp_mapping *m = rtp_alloc(r, sizeof(*m));
	char *s = rtp_alloc(r, strlen(path) + 1);
	strcpy(s, path);
	*m = (struct rtp_mapping){ .next = r->mappings, .lo = lo, .hi = hi, .off = 0x1000,
				   .path = rtp_off(r, s), .build_id_len = 3 };
	memcpy(m->build_id, "\xab\x01\xff", 3);
	r->mappings = rtp_off(r, m);
}

Test(encode, cpu_profile_comes_back)
{
	struct rtp_region *r = rtp_region_new(16 << 20);
	uintptr_t a[] = { 0x1010, 0x1020 }, b[] = { 0x1010, 0x2020 };
	add_mapping(r, 0x1000, 0x2000, "/bin/program");
	add_mapping(r, 0x2000, 0x3000, "/lib/library.so");
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, a, 2)->v[RTP_CPU_COUNT], 3);
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, a, 2)->v[RTP_CPU_NS], 30000000);
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, b, 2)->v[RTP_CPU_COUNT], 300);
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, b, 2)->v[RTP_CPU_NS], 3000000000);
	struct rtp_profile_args args = { .kind = RTP_CPU, .hz = 100, .time_ns = 1234567890123456789,
					 .duration_ns = 5000000000, .comment = "a remark" };
	pprof_profile *p = round_trip(r, &args, true);
	cr_assert_eq(p->n_sample_type, 2);
	cr_assert_str_eq(type_of(p, 0), "samples");
	cr_assert_str_eq(type_of(p, 1), "cpu");
	cr_assert_str_eq(profile_string(p, p->period_type->unit), "nanoseconds");
	cr_assert_eq(p->period, 10000000);
	cr_assert_eq(p->time_nanos, 1234567890123456789);
	cr_assert_eq(p->duration_nanos, 5000000000);
	cr_assert_eq(p->n_sample, 2);
	cr_assert_eq(p->sample[0]->value[0], 300, "the heaviest first");
	cr_assert_eq(p->sample[0]->value[1], 3000000000);
	cr_assert_eq(p->sample[1]->value[1], 30000000);
	cr_assert_eq(p->n_location, 3, "0x1010 is one location");
	cr_assert_eq(p->n_mapping, 2);
	cr_assert_str_eq(profile_string(p, p->mapping[0]->filename), "/bin/program");
	cr_assert_str_eq(profile_string(p, p->mapping[0]->build_id), "ab01ff");
	cr_assert_eq(p->mapping[1]->file_offset, 0x1000);
	cr_assert_not(p->mapping[0]->has_functions);
	cr_assert_str_eq(profile_string(p, p->comment[0]), "a remark");
	for (size_t i = 0; i < p->n_location; i++)
		cr_assert_eq(p->location[i]->mapping_id, p->location[i]->address >= 0x2000 ? 2 : 1);
	profile_free(p);
	rtp_region_free(r);
}

Test(encode, session_is_the_difference_of_two_readings)
{
	struct rtp_region *r = rtp_region_new(16 << 20);
	uintptr_t a[] = { 0x10000 }, b[] = { 0x20000 }, c[] = { 0x30000 };
	struct rtp_base base;
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, a, 1)->v[RTP_CPU_COUNT], 5);
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, b, 1)->v[RTP_CPU_COUNT], 7);
	cr_assert(rtp_base_take(&base, r, RTP_CPU));
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, b, 1)->v[RTP_CPU_COUNT], 2);
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, c, 1)->v[RTP_CPU_COUNT], 1);
	struct rtp_profile_args args = { .kind = RTP_CPU, .hz = 100, .base = &base };
	pprof_profile *p = round_trip(r, &args, false);
	cr_assert_eq(p->n_sample, 2, "a had nothing new");
	cr_assert_eq(p->sample[0]->value[0], 2);
	cr_assert_eq(p->sample[1]->value[0], 1);
	profile_free(p);
	rtp_base_free(&base);
	rtp_region_free(r);
}

// exp cancels here, so a whole number's fraction may fall on either side.
static bool
near(int64_t v, double want)
{
	return fabs((double)v - want) < 1.5;
}

Test(encode, heap_columns_are_unbiased_and_labelled)
{
	struct rtp_region *r = rtp_region_new(16 << 20);
	uintptr_t a[] = { 0x10000, 0x20000 };
	struct rtp_bucket *b = rtp_bucket(r, RTP_HEAP, 1024, a, 2);
	r->mem_rate = 524288;
	r->heap_published = 1;
	b->v[RTP_ALLOCS] = 10;
	b->v[RTP_ALLOC_BYTES] = 10240;
	b->v[RTP_FREES] = 4;
	b->v[RTP_FREE_BYTES] = 4096;
	b->v[RTP_HEAP_NCOL + RTP_ALLOCS] = 99; // a slot that waits for its cycle
	struct rtp_profile_args args = { .kind = RTP_HEAP, .default_type = "alloc_space" };
	pprof_profile *p = round_trip(r, &args, true);
	const char *want[] = { "alloc_objects", "alloc_space", "inuse_objects", "inuse_space" };
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(type_of(p, i), want[i]);
	cr_assert_str_eq(profile_string(p, p->default_sample_type), "alloc_space");
	cr_assert_eq(p->period, 524288);
	double s = 1 / (1 - exp(-1024.0 / 524288));
	cr_assert(near(p->sample[0]->value[0], 10 * s));
	cr_assert(near(p->sample[0]->value[1], 10240 * s));
	cr_assert(near(p->sample[0]->value[2], 6 * s));
	cr_assert(near(p->sample[0]->value[3], 6144 * s));
	cr_assert_eq(p->sample[0]->n_label, 1);
	cr_assert_str_eq(profile_string(p, p->sample[0]->label[0]->key), "bytes");
	cr_assert_eq(p->sample[0]->label[0]->num, 1024);
	profile_free(p);
	rtp_region_free(r);
}

Test(encode, unbiasing_leaves_exact_counts_alone)
{
	int64_t n, bytes;
	rtp_heap_unbias(7, 700, 1, &n, &bytes);
	cr_assert(n == 7 && bytes == 700);
	rtp_heap_unbias(7, 700, 0, &n, &bytes);
	cr_assert(n == 7 && bytes == 700);
	rtp_heap_unbias(0, 0, 524288, &n, &bytes);
	cr_assert(n == 0 && bytes == 0);
	rtp_heap_unbias(3, 3ll << 30, 524288, &n, &bytes); // far larger than the rate: certain to be seen
	cr_assert(n == 3 && bytes == 3ll << 30);
}

Test(encode, lock_counts_are_at_least_one_and_ticks_become_ns)
{
	struct rtp_region *r = rtp_region_new(16 << 20);
	uintptr_t a[] = { 0x10000 };
	struct rtp_bucket *b = rtp_bucket(r, RTP_MUTEX, 0, a, 1);
	r->ticks_per_ns = 2.5;
	b->v[RTP_LOCK_COUNT_FIX16] = 100; // 0.0015 events
	b->v[RTP_LOCK_TICKS] = 2500;
	struct rtp_profile_args args = { .kind = RTP_MUTEX };
	pprof_profile *p = round_trip(r, &args, true);
	cr_assert_str_eq(type_of(p, 0), "contentions");
	cr_assert_str_eq(type_of(p, 1), "delay");
	cr_assert_eq(p->sample[0]->value[0], 1);
	cr_assert_eq(p->sample[0]->value[1], 1000);
	cr_assert_eq(p->period, 1);
	profile_free(p);
	rtp_region_free(r);
}

Test(encode, markers_have_a_name_and_no_mapping)
{
	struct rtp_region *r = rtp_region_new(16 << 20);
	uintptr_t a[] = { 0x10000, RTP_PC_TRUNCATED };
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, a, 2)->v[RTP_CPU_COUNT], 1);
	struct rtp_profile_args args = { .kind = RTP_CPU, .hz = 100 };
	pprof_profile *p = round_trip(r, &args, true);
	cr_assert_eq(p->n_function, 1);
	cr_assert_str_eq(profile_string(p, p->function[0]->name), "[truncated]");
	cr_assert_eq(p->location[1]->mapping_id, 0);
	cr_assert_eq(p->location[1]->n_line, 1);
	profile_free(p);
	rtp_region_free(r);
}

Test(encode, ten_thousand_stacks_come_back_whole)
{
	struct rtp_region *r = rtp_region_new(64 << 20);
	uint64_t total = 0;
	for (int i = 0; i < 10000; i++) {
		uintptr_t pcs[20];
		for (int k = 0; k < 20; k++)
			pcs[k] = 0x100000 + (uintptr_t)((i * 7919 + k * 104729) % 5000) * 16;
		struct rtp_bucket *b = rtp_bucket(r, RTP_CPU, 0, pcs, 20);
		rtp_add(&b->v[RTP_CPU_COUNT], (uint64_t)i + 1);
		total += (uint64_t)i + 1;
	}
	struct rtp_profile_args args = { .kind = RTP_CPU, .hz = 100 };
	pprof_profile *p = round_trip(r, &args, true);
	uint64_t sum = 0;
	for (size_t i = 0; i < p->n_sample; i++) {
		cr_assert_eq(p->sample[i]->n_location_id, 20);
		sum += (uint64_t)p->sample[i]->value[0];
	}
	cr_assert_eq(sum, total);
	cr_assert_eq(p->n_location, 5000);
	profile_free(p);
	rtp_region_free(r);
}

// KiB from /proc/self/status; 0 where there is no such line.
static long
status_kib(const char *key)
{
	char line[256];
	long v = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			v = atol(line + strlen(key));
	fclose(f);
	return v;
}

// How far the peak of resident memory lies above what was resident before.
static long
write_peak_kib(struct rtp_region *r, bool gzip)
{
	struct rtp_profile_args args = { .kind = RTP_HEAP };
#ifdef __SANITIZE_ADDRESS__
	return -1; // its shadow counts, too
#endif
	int fd = open("/dev/null", O_WRONLY), reset = open("/proc/self/clear_refs", O_WRONLY);
	if (reset < 0 || write(reset, "5", 1) != 1)
		return -1;
	close(reset);
	long before = status_kib("VmRSS:");
	struct rtp_out *o = rtp_out_new(fd, gzip);
	cr_assert_eq(rtp_profile_write(r, &args, o), 0);
	cr_assert_eq(rtp_out_close(o), 0);
	close(fd);
	return status_kib("VmHWM:") - before;
}

Test(encode, a_heap_profile_of_ten_thousand_stacks_takes_less_than_a_mebibyte)
{
	struct rtp_region *r = rtp_region_new(64 << 20);
	r->mem_rate = 1;
	for (int i = 0; i < 10000; i++) {
		uintptr_t pcs[30];
		for (int k = 0; k < 30; k++)
			pcs[k] = 0x100000 + (uintptr_t)((i * 7919 + k * 104729) % 5000) * 16;
		struct rtp_bucket *b = rtp_bucket(r, RTP_HEAP, 64, pcs, 30);
		rtp_add(&b->v[RTP_ALLOCS], 1);
		rtp_add(&b->v[RTP_ALLOC_BYTES], 64);
	}
	long packed = write_peak_kib(r, true), plain = write_peak_kib(r, false);
	if (packed < 0)
		cr_skip_test("the peak of resident memory cannot be reset here");
	cr_assert(plain > 0 && plain < 1024 && packed < 1024, "%ld KiB packed, %ld KiB plain", packed, plain);
	rtp_region_free(r);
}

Test(encode, reader_refuses_damage)
{
	char err[256];
	struct rtp_region *r = rtp_region_new(16 << 20);
	uintptr_t a[] = { 0x10000 };
	rtp_add(&rtp_bucket(r, RTP_CPU, 0, a, 1)->v[RTP_CPU_COUNT], 1);
	struct rtp_profile_args args = { .kind = RTP_CPU, .hz = 100 };
	pprof_profile *p = round_trip(r, &args, true);
	uint8_t buf[4096];
	p->sample[0]->location_id[0] = 77;
	size_t n = perftools__profiles__profile__pack(p, buf);
	cr_assert_null(profile_parse(buf, n, err, sizeof(err)));
	cr_assert_str_eq(err, "a sample names no location");
	p->sample[0]->location_id[0] = 1;
	p->sample[0]->n_value = 1;
	n = perftools__profiles__profile__pack(p, buf);
	cr_assert_null(profile_parse(buf, n, err, sizeof(err)));
	cr_assert_null(profile_parse(buf, n / 2, err, sizeof(err)));
	cr_assert_null(profile_parse(buf, 0, err, sizeof(err)));
	cr_assert_null(profile_parse((const uint8_t *)"\x1f\x8b garbage", 11, err, sizeof(err)));
	profile_free(p);
	rtp_region_free(r);
}
