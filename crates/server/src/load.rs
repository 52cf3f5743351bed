//! `roomservice load`: viewers and room calls against a server that is named, what they see while it runs, and a summary. For
//! how many viewers a machine has room for; figures to compare versions by are `bench`'s.

mod calls;
mod samples;
mod viewer;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use calls::Caller;
use samples::{Samples, spread};
use viewer::{Seen, Stream};

use crate::print;

/// Viewers that begin in a second: a server sees an audience come, and no flood of handshakes.
const COME: u32 = 200;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Play URLs (http://…flv, https://…flv, rtmp://…), and for --calls the server (http://HOST:PORT). Nothing is assumed.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// How many viewers, shared by the play URLs. 200 a second begin.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=100_000))]
    viewers: u32,
    /// How many room calls a second: get_room_list.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000))]
    calls: u32,
    /// For how many seconds, once all viewers have begun.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Who calls; without it the server is asked for a user, as development mode allows.
    #[arg(long, requires = "user_sig")]
    user: Option<String>,
    /// That user's signature (`roomservice usersig`).
    #[arg(long, requires = "user")]
    user_sig: Option<String>,
    /// The number that the app logs in with.
    #[arg(long, default_value_t = 1_400_000_000)]
    sdk_app_id: u64,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Summary {
    viewers: usize,
    /// Viewers that saw a picture, or heard something where there is none.
    playing: usize,
    /// Viewers whose stream ended before the time was over, or never came.
    ended: usize,
    /// Why, the first of them.
    why: Option<String>,
    /// Milliseconds to the first picture, or sound.
    first_frame_ms: Option<[f64; 2]>,
    /// Bits a second of one viewer, in the middle.
    bits_per_viewer: u64,
    /// Times that nothing came for a second.
    stalls: u64,
    /// Viewers who had one.
    stalled: usize,
    calls: u64,
    /// Calls without an answer, or with another than code 0.
    failed_calls: u64,
    /// Milliseconds that a call took.
    call_ms: Option<[f64; 2]>,
}

/// Runs it.
///
/// # Errors
/// A URL is none, nobody could log in, or not all went well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let summary = runtime.block_on(go(arguments))?;
    runtime.shutdown_timeout(Duration::from_millis(200));
    if arguments.json {
        print::line(serde_json::to_string_pretty(&summary).map_err(|e| e.to_string())?);
    } else {
        print::text(page(&summary));
    }
    match (summary.ended + summary.viewers - summary.playing, summary.failed_calls) {
        (0, 0) => Ok(()),
        (viewers, calls) => Err(format!("{viewers} viewers and {calls} calls did not go well")),
    }
}

async fn go(arguments: &Arguments) -> Result<Summary, String> {
    let mut streams = Vec::new();
    let mut server = None;
    for url in &arguments.urls {
        match Stream::parse(url)? {
            Some(stream) => streams.push(stream),
            None => server = Some(url.trim_end_matches('/')),
        }
    }
    let caller = match (server, arguments.calls) {
        (None, 0) => None,
        (None, _) => return Err("--calls wants the server among the URLs, such as http://127.0.0.1:5757".into()),
        (Some(_), 0) => return Err("a server without a stream is for --calls N".into()),
        (Some(server), _) => {
            let user = arguments.user.as_deref().zip(arguments.user_sig.as_deref());
            Some(Caller::login(server, user, arguments.sdk_app_id).await?)
        }
    };
    // No streams: calls alone.
    let viewers = if streams.is_empty() { 0 } else { arguments.viewers as usize };
    let stop = CancellationToken::new();
    let samples = Arc::new(Samples::default());
    let http = viewer::http()?;
    let mut playing = Vec::new();
    let calling = caller.map(|caller| tokio::spawn(caller.run(arguments.calls, samples.clone(), stop.clone())));
    let begun = Instant::now();
    let come = async {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / COME);
        for n in 0..viewers {
            pace.tick().await;
            let stream = streams[n % streams.len()].clone();
            playing.push(tokio::spawn(stream.watch(http.clone(), samples.clone(), stop.clone())));
        }
        tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    };
    tokio::select! {
        () = come => {}
        () = show(begun, viewers, &samples) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    let took = begun.elapsed();
    stop.cancel();
    let mut seen = Vec::new();
    for viewer in playing {
        seen.push(viewer.await.map_err(|e| e.to_string())?);
    }
    let calls = match calling {
        Some(calling) => calling.await.map_err(|e| e.to_string())?,
        None => Vec::new(),
    };
    print::error(format_args!("\r{:>3} s  over{:60}", took.as_secs(), ""));
    Ok(sum(seen, calls, &samples))
}

/// A line each second, in the same place of a terminal. Never returns.
async fn show(begun: Instant, viewers: usize, samples: &Samples) {
    let mut last = samples.now();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = samples.now();
        let line = format!(
            "{:>3} s  {} of {viewers} play, {:.1} Mbit/s, {} stalls, {} ended, {} calls/s ({} failed)",
            begun.elapsed().as_secs(),
            now.playing,
            (now.bytes - last.bytes) as f64 * 8.0 / 1e6,
            now.stalls,
            now.ended,
            now.calls - last.calls,
            now.failed_calls
        );
        let mut out = std::io::stderr();
        let _ = write!(out, "\r{line:<100}").and_then(|()| out.flush());
        last = now;
    }
}

fn sum(seen: Vec<Seen>, mut calls: Vec<Duration>, samples: &Samples) -> Summary {
    let now = samples.now();
    let mut first: Vec<Duration> = seen.iter().filter_map(|seen| seen.first).collect();
    let mut rates: Vec<u64> = seen.iter().filter(|seen| seen.first.is_some()).map(Seen::rate).collect();
    rates.sort_unstable();
    Summary {
        viewers: seen.len(),
        playing: first.len(),
        ended: seen.iter().filter(|seen| seen.first.is_some() && seen.ended.is_some()).count(),
        why: seen.iter().find_map(|seen| seen.ended.clone()),
        first_frame_ms: spread(&mut first),
        bits_per_viewer: rates.get(rates.len() / 2).copied().unwrap_or_default(),
        stalls: seen.iter().map(|seen| seen.stalls).sum(),
        stalled: seen.iter().filter(|seen| seen.stalls > 0).count(),
        calls: now.calls,
        failed_calls: now.failed_calls,
        call_ms: spread(&mut calls),
    }
}

fn page(summary: &Summary) -> String {
    let mut text = String::new();
    let spread =
        |of: Option<[f64; 2]>| of.map_or("none".into(), |[p50, p99]| format!("p50 {p50:.1} ms, p99 {p99:.1} ms"));
    if summary.viewers > 0 {
        let _ = writeln!(
            text,
            "viewers      {} of {} saw or heard it, {} ended early",
            summary.playing, summary.viewers, summary.ended
        );
        let _ = writeln!(text, "first frame  {}", spread(summary.first_frame_ms));
        let _ = writeln!(text, "bit rate     {} kbit/s each", summary.bits_per_viewer / 1000);
        let _ = writeln!(text, "stalls       {} of a second or more, of {} viewers", summary.stalls, summary.stalled);
    }
    if summary.calls > 0 {
        let _ = writeln!(
            text,
            "calls        {}, {} failed; {}",
            summary.calls,
            summary.failed_calls,
            spread(summary.call_ms)
        );
    }
    if let Some(why) = &summary.why {
        let _ = writeln!(text, "first end    {why}");
    }
    text
}
