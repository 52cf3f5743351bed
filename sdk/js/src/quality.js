// How good a media connection is, from what WebRTC counted between two looks at it.

/** Milliseconds between two looks. */
export const EVERY = 2_000;
/** Above these a connection is fair, and poor: round trip in milliseconds, part of the packets that are lost. */
const FAIR = { roundTrip: 200, loss: 0.02 };
const POOR = { roundTrip: 500, loss: 0.08 };

export class Meter {
  #before = null;

  /** Takes a report of `getStats`; gives `{ quality, roundTrip, loss, bitrate }`, or null for the first one. */
  take(report, now = Date.now()) {
    const sum = counted(report);
    const before = this.#before;
    this.#before = { ...sum, now };
    if (!before || now <= before.now) return null;
    const more = (name) => Math.max(0, sum[name] - before[name]);
    const lost = more('lost');
    const arrived = more('packets');
    const figures = {
      roundTrip: sum.roundTrip,
      loss: sum.fraction ?? (lost + arrived ? lost / (lost + arrived) : 0),
      bitrate: Math.round((more('bytes') * 8_000) / (now - before.now)),
    };
    return { quality: judge(figures), ...figures };
  }
}

/** `good`, `fair` or `poor`; a connection on which nothing moves is poor. */
export function judge({ roundTrip, loss, bitrate }) {
  const over = (bound) => roundTrip > bound.roundTrip || loss > bound.loss;
  if (bitrate === 0 || over(POOR)) return 'poor';
  return over(FAIR) ? 'fair' : 'good';
}

function counted(report) {
  const sum = { bytes: 0, packets: 0, lost: 0, roundTrip: null, fraction: null };
  for (const stat of report.values()) {
    if (stat.type === 'inbound-rtp') {
      sum.bytes += stat.bytesReceived ?? 0;
      sum.packets += stat.packetsReceived ?? 0;
      sum.lost += stat.packetsLost ?? 0;
    } else if (stat.type === 'outbound-rtp') {
      sum.bytes += stat.bytesSent ?? 0;
    } else if (stat.type === 'remote-inbound-rtp' && stat.fractionLost !== undefined) {
      sum.fraction = Math.max(sum.fraction ?? 0, stat.fractionLost);
    } else if (stat.type === 'candidate-pair' && stat.nominated && stat.currentRoundTripTime !== undefined) {
      sum.roundTrip = Math.round(stat.currentRoundTripTime * 1000);
    }
  }
  return sum;
}
