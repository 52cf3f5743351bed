import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, Meter } from '../src/quality.js';

const report = (...stats) => new Map(stats.map((stat, i) => [i, stat]));
const pair = (seconds) => ({ type: 'candidate-pair', nominated: true, currentRoundTripTime: seconds });

test('a connection is judged by round trip, loss, and whether anything moves', () => {
  const figures = { roundTrip: 40, loss: 0, bitrate: 500_000 };
  assert.equal(judge(figures), 'good');
  assert.equal(judge({ ...figures, roundTrip: 250 }), 'fair');
  assert.equal(judge({ ...figures, loss: 0.03 }), 'fair');
  assert.equal(judge({ ...figures, loss: 0.1 }), 'poor');
  assert.equal(judge({ ...figures, roundTrip: 600 }), 'poor');
  assert.equal(judge({ ...figures, bitrate: 0 }), 'poor');
  assert.equal(judge({ ...figures, roundTrip: null }), 'good', 'what is not known is no fault');
});

test('what is played is measured between two looks', () => {
  const meter = new Meter();
  const inbound = (bytesReceived, packetsReceived, packetsLost) => ({
    type: 'inbound-rtp',
    bytesReceived,
    packetsReceived,
    packetsLost,
  });
  assert.equal(meter.take(report(inbound(1000, 10, 0), pair(0.04)), 1_000), null);
  assert.deepEqual(meter.take(report(inbound(251_000, 100, 10), pair(0.05)), 3_000), {
    quality: 'poor',
    roundTrip: 50,
    loss: 0.1,
    bitrate: 1_000_000,
  });
  assert.deepEqual(meter.take(report(inbound(501_000, 200, 10), pair(0.05)), 5_000).quality, 'good');
});

test('what is published is measured by what the server says of it', () => {
  const meter = new Meter();
  const sent = (bytesSent, fractionLost) =>
    report({ type: 'outbound-rtp', bytesSent }, { type: 'remote-inbound-rtp', fractionLost }, pair(0.3));
  meter.take(sent(0, 0), 0);
  assert.deepEqual(meter.take(sent(25_000, 0.01), 2_000), {
    quality: 'fair',
    roundTrip: 300,
    loss: 0.01,
    bitrate: 100_000,
  });
});
