//! Tones through both crossings, measured; clocks that gap, overlap and drift; bytes that are no audio at all.

use proptest::prelude::*;

use super::*;

/// AAC as another program makes it: any rate, any channels.
fn aac(rate: u32, channels: usize, signal: impl Fn(f64) -> f32, seconds: f64) -> (Vec<u8>, Vec<Vec<u8>>) {
    let options = syom::EncodeOptions::raw().with_bitrate_bps(rate.min(48_000) * 4 / 3 * channels as u32);
    made_by(options, rate, channels, signal, seconds)
}

fn made_by(
    options: syom::EncodeOptions,
    rate: u32,
    channels: usize,
    signal: impl Fn(f64) -> f32,
    seconds: f64,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut encoder = syom::Encoder::new(rate, channels, &options).unwrap();
    let samples: Vec<f32> =
        (0..(seconds * f64::from(rate)) as usize).map(|i| signal(i as f64 / f64::from(rate))).collect();
    let mut units = Vec::new();
    encoder
        .feed(&vec![samples.as_slice(); channels], |f| {
            units.push(f.payload.to_vec());
            Ok(())
        })
        .unwrap();
    (encoder.asc().to_vec(), units)
}

fn sine(hz: f64, level: f64) -> impl Fn(f64) -> f32 {
    move |t| (level * (std::f64::consts::TAU * hz * t).sin()) as f32
}

/// Units as they come out, with their times.
fn units(out: &[Output]) -> Vec<(i64, Bytes)> {
    out.iter()
        .filter_map(|o| match o {
            Output::Unit(at, bytes) => Some((*at, bytes.clone())),
            Output::Config(_) => None,
        })
        .collect()
}

fn decode(decoder: &mut dyn Decode, units: &[(i64, Bytes)]) -> (usize, Vec<f32>) {
    let mut pcm = Pcm::default();
    let mut all = Vec::new();
    for (_, unit) in units {
        decoder.decode(unit, &mut pcm).unwrap();
        all.extend(pcm.samples.iter().step_by(pcm.channels));
    }
    (pcm.channels, all)
}

/// Frequency by interpolated zero crossings and level (peak of a sine), leaving the ends out.
fn measure(samples: &[f32]) -> (f64, f64) {
    let inner = &samples[RATE as usize / 2..samples.len() - RATE as usize / 10];
    let rms = (inner.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / inner.len() as f64).sqrt();
    let crossings: Vec<f64> = inner
        .windows(2)
        .enumerate()
        .filter(|(_, w)| w[0] < 0.0 && w[1] >= 0.0)
        .map(|(i, w)| i as f64 + f64::from(-w[0] / (w[1] - w[0])))
        .collect();
    let span = crossings.last().unwrap() - crossings[0];
    ((crossings.len() - 1) as f64 * f64::from(RATE) / span, rms * std::f64::consts::SQRT_2)
}

fn close(measured: (f64, f64), hz: f64, level: f64) {
    let db = 20.0 * (measured.1 / level).log10();
    assert!((measured.0 - hz).abs() < 1.0, "{} Hz instead of {hz}", measured.0);
    assert!(db.abs() < 1.0, "{db} dB off");
}

/// Pushes AAC units at their own rate's times from `start`.
fn feed(t: &mut Transcoder, rate: u32, start: i64, units: &[Vec<u8>], out: &mut Vec<Output>) -> i64 {
    for (i, unit) in units.iter().enumerate() {
        let at = start + i as i64 * 1024 * 1_000_000 / i64::from(rate);
        t.push(at, unit, out).unwrap();
    }
    start + units.len() as i64 * 1024 * 1_000_000 / i64::from(rate)
}

#[test]
fn aac_of_any_rate_becomes_opus_with_the_same_tone() {
    for (rate, channels) in [(44_100, 2), (48_000, 1), (22_050, 1), (32_000, 2), (96_000, 2), (8_000, 1)] {
        let (asc, input) = aac(rate, channels, sine(440.0, 0.5), 2.5);
        let mut t = Transcoder::new(Source::Aac, Target::Opus);
        t.configure(&asc).unwrap();
        let mut out = Vec::new();
        feed(&mut t, rate, 7_000_000, &input, &mut out);
        assert_eq!(out[0], Output::Config(opus_head(channels)));
        let packets = units(&out);
        assert!((115..=125).contains(&packets.len()), "{} packets", packets.len());
        assert!(packets.windows(2).all(|w| w[1].0 - w[0].0 == 20_000));
        assert!(packets.iter().all(|p| packet_samples(&p.1) == Some(960)));
        assert!((6_990_000..=7_000_000).contains(&packets[0].0));
        let (n, samples) = decode(&mut OpusDecoder::new(channels).unwrap(), &packets);
        assert_eq!(n, channels);
        close(measure(&samples), 440.0, 0.5);
    }
}

#[test]
fn opus_becomes_aac_with_the_same_tone() {
    for channels in [1, 2] {
        let mut encoder = OpusEncoder::new(channels).unwrap();
        let mut t = Transcoder::new(Source::Opus, Target::Aac);
        t.configure(&opus_head(channels)).unwrap();
        let mut out = Vec::new();
        for i in 0..125i64 {
            let tone = sine(660.0, 0.4);
            let block: Vec<f32> =
                (0..960).flat_map(|k| vec![tone((i * 960 + k) as f64 / 48_000.0); channels]).collect();
            t.push(i * 20_000, &encoder.encode(&block).unwrap(), &mut out).unwrap();
        }
        let Output::Config(asc) = out[0].clone() else { panic!("configuration first") };
        assert_eq!(asc[..], [0x11, 0x80 | (channels as u8) << 3], "AAC-LC, 48 kHz");
        let packets = units(&out);
        assert_eq!(packets.len(), 125 * 960 / 1024);
        let step = |w: &[(i64, Bytes)]| w[1].0 - w[0].0;
        assert!(packets.windows(2).all(|w| (21_333..=21_334).contains(&step(w))));
        let (_, samples) = decode(&mut AacDecoder::new(&asc).unwrap(), &packets);
        close(measure(&samples), 660.0, 0.4);
    }
}

#[test]
fn surround_is_mixed_down_and_keeps_its_level() {
    let (asc, input) = aac(48_000, 6, sine(440.0, 0.3), 2.0);
    let mut t = Transcoder::new(Source::Aac, Target::Opus);
    t.configure(&asc).unwrap();
    let mut out = Vec::new();
    feed(&mut t, 48_000, 0, &input, &mut out);
    let (n, samples) = decode(&mut OpusDecoder::new(2).unwrap(), &units(&out));
    assert_eq!(n, 2);
    close(measure(&samples), 440.0, 0.3);
}

#[test]
fn he_aac_is_heard_before_the_header_of_its_replication_comes() {
    let lc = [0x13, 0x10];
    for (channels, declared) in [(1, true), (2, true), (2, false)] {
        let options = syom::EncodeOptions::raw().with_bitrate_bps(32_000 * channels as u32).with_he(true);
        let (asc, mut input) = made_by(options, 48_000, channels, sine(440.0, 0.4), 3.0);
        assert!(input.iter().all(|unit| sbr::Sbr::find(unit).is_some_and(|sbr| sbr.has_header)));
        // A viewer's first second, where its encoder sends the header now and then.
        input.iter_mut().take(24).for_each(|unit| *unit = sbr::tests::headless(unit));
        let asc = if declared { &asc[..] } else { &lc };
        let mut decoder = AacDecoder::new(asc).unwrap();
        let mut pcm = Pcm::default();
        let mut all = Vec::new();
        for (n, unit) in input.iter().enumerate() {
            decoder.decode(unit, &mut pcm).unwrap_or_else(|e| panic!("unit {n} of {channels}, {declared}: {e}"));
            let twice = if pcm.rate == 24_000 { 2 } else { 1 };
            all.extend(pcm.samples.iter().step_by(pcm.channels).flat_map(|s| vec![*s; twice]));
        }
        // The first second, and the last.
        for samples in [&all[..RATE as usize], &all[all.len() - RATE as usize..]] {
            close(measure(samples), 440.0, 0.4);
        }
    }
}

#[test]
fn opus_of_six_channels_is_mixed_down_and_keeps_its_level() {
    let mut encoder = opus_pure::OpusMSEncoder::new(RATE as i32, 6, 1, opus_pure::Application::Audio).unwrap();
    encoder.set_bitrate(256_000);
    let layout = encoder.layout();
    let map = [&[1, layout.nb_streams as u8, layout.nb_coupled_streams as u8][..], &layout.mapping].concat();
    let head = [&b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0"[..], &map].concat();
    let mut t = Transcoder::new(Source::Opus, Target::Aac);
    t.configure(&head).unwrap();
    let tone = sine(440.0, 0.3);
    let mut out = Vec::new();
    for n in 0..100 {
        let moment = |i: usize| [tone((n * 960 + i) as f64 / f64::from(RATE)); 6];
        let samples: Vec<f32> = (0..960).flat_map(moment).collect();
        let mut packet = vec![0; 8_000];
        let length = encoder.encode(&samples, 960, &mut packet).unwrap();
        t.push(n as i64 * 20_000, &packet[..length], &mut out).unwrap();
    }
    let Output::Config(asc) = out[0].clone() else { panic!("configuration first") };
    let (channels, samples) = decode(&mut AacDecoder::new(&asc).unwrap(), &units(&out));
    assert_eq!(channels, 2);
    close(measure(&samples), 440.0, 0.3);
    // A layout of its own, and a family that is not known, are not decoded as something else.
    for (at, byte) in [(21, 4), (18, 255)] {
        let mut other = head.clone();
        other[at] = byte;
        assert!(t.configure(&other).is_err());
        out.clear();
        let unit = [0xf8, 0xff, 0xfe];
        (0..30).for_each(|n| assert!(matches!(t.push(n * 20_000, &unit, &mut out), Err(Unfit::Config(_)))));
        assert!(out.is_empty() && t.failing() >= 30, "{out:?}");
    }
}

#[test]
fn sound_stays_at_its_time() {
    // Silence, then a tone from 1.0 s on: where does it start in what comes out?
    let onset = |t: f64| if t < 1.0 { 0.0 } else { (0.5 * (std::f64::consts::TAU * 1000.0 * t).sin()) as f32 };
    let (asc, input) = aac(44_100, 1, onset, 2.0);
    let mut t = Transcoder::new(Source::Aac, Target::Opus);
    t.configure(&asc).unwrap();
    let mut out = Vec::new();
    // An encoder's first unit holds what lies before the start: it is stamped as players expect it.
    feed(&mut t, 44_100, -23_220, &input, &mut out);
    let packets = units(&out);
    let (_, samples) = decode(&mut OpusDecoder::new(1).unwrap(), &packets);
    let first = samples.iter().position(|s| s.abs() > 0.2).unwrap() as f64 / 48_000.0;
    let at = first + packets[0].0 as f64 / 1e6;
    assert!((at - 1.0).abs() < 0.005, "the tone starts at {at} s");
}

#[test]
fn gaps_become_silence_and_overlaps_are_cut() {
    let (asc, input) = aac(48_000, 1, sine(440.0, 0.5), 1.0);
    let mut t = Transcoder::new(Source::Aac, Target::Opus);
    t.configure(&asc).unwrap();
    let mut out = Vec::new();
    let end = feed(&mut t, 48_000, 0, &input, &mut out);
    let end = feed(&mut t, 48_000, end + 500_000, &input, &mut out);
    let end = feed(&mut t, 48_000, end - 300_000, &input, &mut out);
    let packets = units(&out);
    assert!(packets.windows(2).all(|w| w[1].0 - w[0].0 == 20_000), "no hole, no step back");
    let last = packets.last().unwrap().0 + 20_000;
    assert!((end - last).abs() < 40_000, "{end} {last}");
    let (_, samples) = decode(&mut OpusDecoder::new(1).unwrap(), &packets);
    let rms = |from: f64, to: f64| {
        let s = &samples[(from * 48_000.0) as usize..(to * 48_000.0) as usize];
        (s.iter().map(|s| s * s).sum::<f32>() / s.len() as f32).sqrt()
    };
    assert!(rms(0.2, 0.8) > 0.3 && rms(1.1, 1.4) < 0.01 && rms(1.6, 2.2) > 0.3);
}

#[test]
fn a_clock_set_anew_starts_a_new_run() {
    let (asc, input) = aac(48_000, 1, sine(440.0, 0.5), 0.5);
    let mut t = Transcoder::new(Source::Aac, Target::Opus);
    t.configure(&asc).unwrap();
    let mut out = Vec::new();
    feed(&mut t, 48_000, 3_600_000_000, &input, &mut out);
    let before = out.len();
    feed(&mut t, 48_000, 0, &input, &mut out);
    assert!(units(&out[before..])[0].0.abs() < 10_000);
    // The widest jump there is must not overflow or fill memory.
    for at in [i64::MAX, i64::MIN, 0, i64::MAX / 2] {
        t.push(at, &input[3], &mut out).unwrap();
    }
    assert!(t.queue.len() < 4096);
}

#[test]
fn a_fast_and_a_slow_clock_are_followed_without_a_break() {
    for ppm in [-800i64, 800] {
        let (asc, input) = aac(48_000, 1, sine(440.0, 0.5), 1.0);
        let mut t = Transcoder::new(Source::Aac, Target::Opus);
        t.configure(&asc).unwrap();
        let mut out = Vec::new();
        let mut at = 0i64;
        for i in 0..4_500i64 {
            at = i * 1024 * 1_000_000 / 48_000 * (1_000_000 + ppm) / 1_000_000;
            // Times in whole milliseconds, as RTMP has them.
            t.push(at / 1000 * 1000, &input[i as usize % input.len()], &mut out).unwrap();
        }
        let packets = units(&out);
        assert!(packets.windows(2).all(|w| w[1].0 - w[0].0 == 20_000));
        let lag = at - packets.last().unwrap().0;
        assert!(lag.abs() < 40_000, "{lag} µs behind after 96 s, at {ppm} ppm; unrepaired it would be 77 ms off");
    }
}

#[test]
fn a_lost_opus_packet_is_concealed() {
    let mut encoder = OpusEncoder::new(1).unwrap();
    let mut t = Transcoder::new(Source::Opus, Target::Aac);
    t.configure(&opus_head(1)).unwrap();
    let mut out = Vec::new();
    for i in 0..100i64 {
        let tone = sine(500.0, 0.5);
        let block: Vec<f32> = (0..960).map(|k| tone((i * 960 + k) as f64 / 48_000.0)).collect();
        let packet = encoder.encode(&block).unwrap();
        if i % 20 != 10 {
            t.push(i * 20_000, &packet, &mut out).unwrap();
        }
    }
    let packets = units(&out);
    assert_eq!(packets.len(), 100 * 960 / 1024);
    let Output::Config(asc) = &out[0] else { panic!() };
    let (_, samples) = decode(&mut AacDecoder::new(asc).unwrap(), &packets);
    let quietest =
        samples[9600..].chunks_exact(480).map(|c| c.iter().fold(0.0f32, |m, s| m.max(s.abs()))).fold(1.0f32, f32::min);
    assert!(quietest > 0.1, "no hole in the tone: {quietest}");
}

#[test]
fn what_cannot_be_decoded_is_told_and_becomes_silence() {
    let (asc, input) = aac(48_000, 1, sine(440.0, 0.5), 1.0);
    let mut t = Transcoder::new(Source::Aac, Target::Opus);
    assert!(t.push(0, &input[0], &mut Vec::new()).is_err(), "no configuration yet");
    assert!(t.configure(&[]).is_err());
    assert!(Transcoder::new(Source::Opus, Target::Aac).configure(b"OpusHead").is_err());
    t.configure(&asc).unwrap();
    let mut out = Vec::new();
    let mut failed = 0;
    for (i, unit) in input.iter().enumerate() {
        let bad = i % 10 == 5;
        let bytes = if bad { &[0xffu8; 9][..] } else { unit };
        failed += usize::from(t.push(i as i64 * 1024 * 1_000_000 / 48_000, bytes, &mut out).is_err());
    }
    assert_eq!((failed as u64, failed), (t.broken(), 5));
    let packets = units(&out);
    assert_eq!(packets.len(), input.len() * 1024 / 960);
    assert!(packets.windows(2).all(|w| w[1].0 - w[0].0 == 20_000));
}

#[test]
fn samples_beyond_full_scale_do_not_stop_the_encoder() {
    let mut t = Transcoder::new(Source::Opus, Target::Aac);
    let mut encoder = OpusEncoder::new(2).unwrap();
    let mut out = Vec::new();
    for i in 0..50i64 {
        // A square wave at full scale rings over ±1.0 once decoded.
        let block: Vec<f32> = (0..1920).map(|k| if (k / 40) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        t.push(i * 20_000, &encoder.encode(&block).unwrap(), &mut out).unwrap();
    }
    assert_eq!((units(&out).len(), t.broken()), (50 * 960 / 1024, 0));
}

#[test]
fn resampling_keeps_tones_and_refuses_nonsense() {
    let mut r = Resampler::new(44_100, 48_000, 1).unwrap();
    let mut out = Vec::new();
    let tone = sine(10_000.0, 0.5);
    for block in 0..100 {
        let samples: Vec<f32> = (0..441).map(|i| tone(f64::from(block * 441 + i) / 44_100.0)).collect();
        r.push(&samples, &mut out);
    }
    assert!((47_950..=48_000).contains(&out.len()), "{}", out.len());
    close(measure(&out), 10_000.0, 0.5);
    for (from, to, channels) in
        [(0, 48_000, 1), (44_100, 0, 1), (44_101, 48_000, 1), (1, 48_000, 1), (48_000, 8_000, 0)]
    {
        assert!(Resampler::new(from, to, channels).is_none(), "{from} {to} {channels}");
    }
}

/// Up and down, in blocks of any length: each channel comes out as it does by itself, and of its own tone.
#[test]
fn channels_are_resampled_by_themselves() {
    for (from, to) in [(44_100, 48_000), (8_000, 48_000), (88_200, 48_000), (96_000, 48_000), (48_000, 32_000)] {
        let told = [(440.0, 0.5), (1_200.0, 0.25)];
        let tones = told.map(|(hertz, level)| sine(hertz, level));
        let moments: Vec<f64> = (0..from * 2).map(|i| f64::from(i) / f64::from(from)).collect();
        let both: Vec<f32> = moments.iter().flat_map(|at| [tones[0](*at), tones[1](*at)]).collect();
        let mut stereo = Resampler::new(from, to, 2).unwrap();
        let mut out = Vec::new();
        let mut rest = &both[..];
        for length in [2, 94, 2_048, 14, 1_152].into_iter().cycle() {
            let (block, after) = rest.split_at(length.min(rest.len()));
            stereo.push(block, &mut out);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        for (channel, (hertz, level)) in told.into_iter().enumerate() {
            let mut alone = Vec::new();
            let samples: Vec<f32> = moments.iter().map(|at| tones[channel](*at)).collect();
            Resampler::new(from, to, 1).unwrap().push(&samples, &mut alone);
            let of_both: Vec<f32> = out.iter().skip(channel).step_by(2).copied().collect();
            assert_eq!(of_both, alone, "{from} to {to}, channel {channel}");
            assert!((to as usize * 2 - 200..=to as usize * 2).contains(&alone.len()), "{from}: {}", alone.len());
            if to == RATE {
                close(measure(&alone), hertz, level);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// No bytes, in no order, at no time, do worse than an error; memory stays bounded.
    #[test]
    fn nothing_from_outside_panics(
        opus in any::<bool>(),
        steps in prop::collection::vec(
            (prop::bool::weighted(0.1), prop::collection::vec(any::<u8>(), 0..300), -100_000i64..10_000_000), 1..40),
        asc in prop_oneof![Just(vec![0x12, 0x10]), Just(vec![0x11, 0x88]), Just(vec![0x2b, 0x11, 0x88, 0]),
            prop::collection::vec(any::<u8>(), 0..20)],
    ) {
        let (source, target) = if opus { (Source::Opus, Target::Aac) } else { (Source::Aac, Target::Opus) };
        let mut t = Transcoder::new(source, target);
        let mut out = Vec::new();
        let mut at = 0i64;
        let _ = t.configure(&asc);
        for (config, bytes, step) in steps {
            at += step;
            if config { let _ = t.configure(&bytes); } else { let _ = t.push(at, &bytes, &mut out); }
            prop_assert!(t.queue.len() < 2 * 1024);
            out.clear();
        }
    }

    /// Real audio with bytes changed: the decoder recovers, time goes on.
    #[test]
    fn damaged_audio_does_not_panic(
        damage in prop::collection::vec((0usize..40, 0usize..400, any::<u8>()), 1..60), opus in any::<bool>(),
    ) {
        let tone = sine(440.0, 0.5);
        let (mut units_in, mut t) = if opus {
            let mut e = OpusEncoder::new(1).unwrap();
            let block: Vec<f32> = (0..960).map(|k| tone(f64::from(k) / 48_000.0)).collect();
            let packets = (0..40).map(|_| e.encode(&block).unwrap().to_vec()).collect();
            (packets, Transcoder::new(Source::Opus, Target::Aac))
        } else {
            let (asc, units) = aac(44_100, 2, tone, 1.0);
            let mut t = Transcoder::new(Source::Aac, Target::Opus);
            t.configure(&asc).unwrap();
            (units, t)
        };
        let n = units_in.len();
        for (unit, byte, value) in damage {
            let unit = &mut units_in[unit % n];
            let len = unit.len();
            if len > 0 { unit[byte % len] = value; }
        }
        let mut out = Vec::new();
        for (i, unit) in units_in.iter().enumerate() {
            let _ = t.push(i as i64 * 21_000, unit, &mut out);
        }
        prop_assert!(units(&out).windows(2).all(|w| w[1].0 > w[0].0));
    }
}
