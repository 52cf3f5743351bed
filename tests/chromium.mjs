// One start of Chromium for all tests: the flags that each of them needs, and what differs. NODE_MODULES has playwright-core.

import { createRequire } from 'node:module';

/** Cameras and microphones are made up. `camera`: pages may use them without asking. `fps`: pictures a second of a camera.
 *  `addresses`: offers name the machine's own addresses. `flags`: more. */
export function launch({ camera = false, fps = 20, addresses = false, flags = [] } = {}) {
  const { chromium } = createRequire(`${process.env.NODE_MODULES}/`)('playwright-core');
  const without = ['LocalNetworkAccessChecks', ...(addresses ? ['WebRtcHideLocalIpsWithMdns'] : [])];
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--autoplay-policy=no-user-gesture-required',
      `--disable-features=${without}`,
      `--use-fake-device-for-media-stream=fps=${fps}`,
      ...(camera ? ['--use-fake-ui-for-media-stream'] : []),
      ...flags,
    ],
  });
}
