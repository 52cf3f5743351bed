//! Sample rate conversion by a ratio of whole numbers: a windowed-sinc low-pass, one short filter per phase. Knows no time.

/// Taps of each phase's filter, in samples of the slower side.
const TAPS: usize = 48;
/// What filters' lengths are multiples of.
const LANES: usize = 8;
/// Shape of the Kaiser window: about 70 dB of stop band.
const BETA: f64 = 7.0;
/// Most phases that are tabulated; every pair of usual audio rates needs fewer.
const MOST_PHASES: u32 = 1_000;

/// Converts interleaved audio from one rate to another. Delays it by half its taps (0.5 ms at 48 kHz).
pub struct Resampler {
    from: u32,
    channels: usize,
    /// Output samples per `down` input samples.
    up: u64,
    down: u64,
    taps: usize,
    /// `up` filters of `taps` weights.
    bank: Vec<f32>,
    /// Input not yet used up, of each channel.
    held: Vec<Vec<f32>>,
    /// Place of the next output, in `1 / up` input samples from the start of what is held.
    next: u64,
}

impl Resampler {
    /// `None` when the rates are 0, absurdly far apart or without a small common ratio, or there are no channels.
    pub fn new(from: u32, to: u32, channels: usize) -> Option<Self> {
        let common = gcd(from, to);
        let up = to.checked_div(common)?;
        let down = from.checked_div(common)?;
        if up == 0 || down == 0 || up > MOST_PHASES || down > up.saturating_mul(16) || !(1..=8).contains(&channels) {
            return None;
        }
        // Going down, the filter has to be as much longer as it is narrower.
        let stretch = (f64::from(from) / f64::from(to)).max(1.0);
        let taps = ((TAPS as f64 * stretch).ceil() as usize).next_multiple_of(LANES);
        let cutoff = 0.96 / stretch;
        let bank = (0..up).flat_map(|phase| filter(phase, up, taps, cutoff)).collect();
        Some(Resampler {
            from,
            channels,
            up: u64::from(up),
            down: u64::from(down),
            taps,
            bank,
            // Silence before the start, so that the first output is not half a filter late.
            held: vec![vec![0.0; taps / 2 - 1]; channels],
            next: 0,
        })
    }

    /// The rate it takes.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// Channels it takes and gives.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Takes interleaved samples, whole moments of them, and appends all that can be made of them to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let samples = &samples[..samples.len() / self.channels * self.channels];
        for (channel, held) in self.held.iter_mut().enumerate() {
            held.extend(samples.iter().skip(channel).step_by(self.channels));
        }
        let have = self.held[0].len() as u64;
        let [mut at, mut phase] = [self.next / self.up, self.next % self.up];
        let [whole, part] = [self.down / self.up, self.down % self.up];
        while at + self.taps as u64 <= have {
            let first = at as usize;
            let weights = &self.bank[phase as usize * self.taps..][..self.taps];
            out.extend(self.held.iter().map(|held| weighted(&held[first..first + self.taps], weights)));
            at += whole;
            phase += part;
            if phase >= self.up {
                phase -= self.up;
                at += 1;
            }
        }
        let used = at.min(have);
        for held in &mut self.held {
            held.drain(..used as usize);
        }
        self.next = (at - used) * self.up + phase;
    }
}

/// The sum of samples by their weights, in as many parts as a processor adds at once.
fn weighted(samples: &[f32], weights: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (samples, weights) in samples.as_chunks::<LANES>().0.iter().zip(weights.as_chunks::<LANES>().0) {
        for ((sum, sample), weight) in sums.iter_mut().zip(samples).zip(weights) {
            *sum += sample * weight;
        }
    }
    sums.iter().sum()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Weights that give the value `phase / up` of a sample after the middle one; they sum to 1.
fn filter(phase: u32, up: u32, taps: usize, cutoff: f64) -> Vec<f32> {
    let middle = (taps / 2 - 1) as f64 + f64::from(phase) / f64::from(up);
    let weights: Vec<f64> = (0..taps)
        .map(|i| {
            let x = i as f64 - middle;
            let angle = std::f64::consts::PI * cutoff * x;
            let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
            let edge = (x / (taps as f64 / 2.0)).clamp(-1.0, 1.0);
            sinc * bessel(BETA * (1.0 - edge * edge).sqrt())
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| (w / sum) as f32).collect()
}

/// The modified Bessel function of the first kind and order 0, by its power series.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..32 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}
