// Chromium as the clients of this directory start it.

import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.env.NODE_MODULES}/`)('playwright-core');

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--autoplay-policy=no-user-gesture-required',
      '--disable-features=LocalNetworkAccessChecks',
    ],
  });
