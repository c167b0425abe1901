# SPDX-License-Identifier: BSD-3-Clause
"""A headless Chromium, driven over its debugging pipe: no port, no driver program, no package."""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def find():
    return next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


class Error(Exception):
    pass


class Browser:
    def __init__(self, program, width=1200, height=700):
        self.dir = tempfile.TemporaryDirectory()
        self.stderr = open(os.path.join(self.dir.name, 'stderr'), 'wb+')
        ends = os.pipe() + os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in ends]
        for fd in ends:
            os.close(fd)

        def as_3_and_4():
            os.dup2(high[0], 3)
            os.dup2(high[3], 4)
        self.process = subprocess.Popen(
            [program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
             '--force-device-scale-factor=1', '--user-data-dir=' + self.dir.name, '--remote-debugging-pipe',
             '--window-size=%d,%d' % (width, height)],
            preexec_fn=as_3_and_4, pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr)
        os.close(high[0])
        os.close(high[3])
        self.out, self.inp, self.last, self.buffer = high[1], high[2], 0, b''
        self.events = []
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)
        for domain in 'Page', 'Runtime', 'Network':
            self.call(domain + '.enable')

    session = None

    def read(self, deadline):
        while b'\0' not in self.buffer:
            if not select.select([self.inp], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Error('no answer from the browser')
            data = os.read(self.inp, 1 << 20)
            if not data:
                self.stderr.seek(0)
                raise Error('the browser is gone: %s' % self.stderr.read()[-2000:])
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def call(self, method, timeout=60, **params):
        self.last += 1
        message = {'id': self.last, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.out, json.dumps(message).encode() + b'\0')
        deadline = time.monotonic() + timeout
        while True:
            answer = self.read(deadline)
            if answer.get('id') == self.last:
                if 'error' in answer:
                    raise Error('%s: %s' % (method, answer['error']))
                return answer['result']
            self.events.append(answer)

    def open(self, url):
        """And the events since the last page: requests, exceptions."""
        self.events = []
        self.call('Page.navigate', url=url)

    def evaluate(self, expression):
        r = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in r:
            raise Error('%s: %s' % (expression, r['exceptionDetails']))
        return r['result'].get('value')

    def wait(self, expression, timeout=30):
        deadline = time.monotonic() + timeout
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                raise Error('still not: ' + expression)
            time.sleep(0.05)

    def mouse(self, kind, x, y):
        clicks = {} if kind == 'mouseMoved' else {'button': 'left', 'clickCount': 1}
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **clicks)

    def click(self, x, y):
        for kind in 'mouseMoved', 'mousePressed', 'mouseReleased':
            self.mouse(kind, x, y)

    def screenshot(self, path):
        with open(path, 'wb') as f:
            f.write(base64.b64decode(self.call('Page.captureScreenshot', format='png')['data']))

    def close(self):
        try:
            self.session = None
            self.call('Browser.close', timeout=5)
            self.process.wait(10)
        except (Error, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.inp)
        self.stderr.close()
        self.dir.cleanup()
