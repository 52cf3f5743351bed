//! What sound costs: the time that a core takes for 100 s of a stereo tone in each crossing of codecs, and for resampling alone.
//!
//! `cargo run --profile dist -p media --example sound`

use std::time::{Duration, Instant};

use media::audio::{Output, RATE, Resampler, Source, Target, Transcoder, Unfit};

/// Seconds of sound that are made, and how often they are taken to be 100.
const SECONDS: usize = 10;
const TIMES: usize = 10;

type Failure = Box<dyn std::error::Error>;

/// Access units of a codec, how to decode them, and how long each lasts in microseconds.
struct Clip {
    config: Vec<u8>,
    units: Vec<Vec<u8>>,
    lasts: i64,
}

/// One channel of a tone.
fn tone(rate: u32) -> Vec<f32> {
    (0..rate as usize * SECONDS).map(|i| (i as f32 * 0.1).sin() * 0.5).collect()
}

fn aac(rate: u32) -> Result<Clip, Failure> {
    let mut encoder = syom::Encoder::new(rate, 2, &syom::EncodeOptions::raw().with_bitrate_bps(128_000))?;
    let samples = tone(rate);
    let mut units = Vec::new();
    encoder.feed(&[&samples[..], &samples[..]], |unit| {
        units.push(unit.payload.to_vec());
        Ok(())
    })?;
    Ok(Clip { config: encoder.asc().to_vec(), units, lasts: 1_024_000_000 / i64::from(rate) })
}

fn opus() -> Result<Clip, Failure> {
    let mut made = Vec::new();
    cross(&aac(RATE)?, &mut Transcoder::new(Source::Aac, Target::Opus), &mut made)?;
    let mut clip = Clip { config: Vec::new(), units: Vec::new(), lasts: 20_000 };
    for output in made {
        match output {
            Output::Config(config) => clip.config = config.to_vec(),
            Output::Unit(_, unit) => clip.units.push(unit.to_vec()),
        }
    }
    Ok(clip)
}

fn cross(clip: &Clip, transcoder: &mut Transcoder, out: &mut Vec<Output>) -> Result<(), Unfit> {
    transcoder.configure(&clip.config)?;
    clip.units.iter().zip(0..).try_for_each(|(unit, place)| transcoder.push(place * clip.lasts, unit, out))
}

/// The middle of five.
fn median(mut once: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        for _ in 0..TIMES {
            once()?;
        }
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[2])
}

fn main() -> Result<(), Failure> {
    let [slow, usual, opus] = [aac(44_100)?, aac(RATE)?, opus()?];
    for (name, clip, source, target) in [
        ("AAC of 44.1 kHz to Opus", &slow, Source::Aac, Target::Opus),
        ("AAC of 48 kHz to Opus", &usual, Source::Aac, Target::Opus),
        ("Opus to AAC", &opus, Source::Opus, Target::Aac),
    ] {
        let took = median(|| Ok(cross(clip, &mut Transcoder::new(source, target), &mut Vec::new())?))?;
        println!("{name:<28} {:6.0} ms", took.as_secs_f64() * 1e3);
    }
    let samples: Vec<f32> = tone(44_100).into_iter().flat_map(|sample| [sample, sample]).collect();
    let took = median(|| {
        let mut resampler = Resampler::new(44_100, RATE, 2).ok_or("no such ratio")?;
        let mut out = Vec::new();
        for block in samples.chunks(2_048) {
            out.clear();
            resampler.push(block, &mut out);
        }
        Ok(())
    })?;
    println!("{:<28} {:6.0} ms", "resampling 44.1 to 48 kHz", took.as_secs_f64() * 1e3);
    Ok(())
}
