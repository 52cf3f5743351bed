//! Load generator and side-by-side harness: one file per subcommand, README.md says what they print.
//! Knows the server only by its program file, its environment and its wire; shares no code with it
//! but the signatures that a client's backend makes.

mod all;
mod api;
mod bare;
mod calls;
mod chat;
mod clip;
mod floods;
mod flv;
mod frames;
mod http;
mod leaks;
mod memory;
mod mix;
mod players;
mod restart;
mod rtmp;
mod server;
mod sweep;
mod table;
mod venue;
mod whep;
mod ws;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The same allocator as the server's, so that the bare handler is a fair neighbour.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever ends a measurement early: a sentence for the person at the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the outcome of a measurement is compared with.
type Outcome = Result<table::Verdict, Failure>;

#[derive(Parser)]
#[command(name = "bench", about = "Measures a RoomService server on this machine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Writes names and numbers of what is printed into this file, for comparisons.
    #[arg(long, global = true)]
    figures: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Requests per CPU second of the server for each call, beside a bare handler of the same HTTP stack.
    Http(calls::Options),
    /// Start time, memory and size of the server, idle and per room.
    Memory(memory::Options),
    /// Start and memory of a server that had very many rooms, and how long changes take while all of them are written down.
    Restart(restart::Options),
    /// What is left after many rooms were made, entered and left: memory and open files.
    Leaks(leaks::Options),
    /// CPU and memory of the server with many RTMP or HTTP-FLV players of one stream.
    Players(players::Options),
    /// CPU, memory, first frame and jitter of WebRTC viewers (WHEP) of one stream.
    Whep(whep::Options),
    /// What a mix of two streams costs, beside the bare ffmpeg command that does the same.
    Mix(mix::Options),
    /// Memory, delay and deliveries per CPU second of WebSocket chat.
    Chat(chat::Options),
    /// The time of an ordinary call beside idle and half connections and unwanted datagrams.
    Floods(floods::Options),
    /// All of these, several times over; and of two builds in turn, with ratios.
    All(all::Options),
    /// The bare handler that `http` compares with; serves until it is ended.
    Bare(bare::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.figures
        && let Err(why) = table::keep_figures(path)
    {
        eprintln!("bench: {}: {why}", path.display());
        return ExitCode::from(2);
    }
    let outcome = match arguments.command {
        Command::Http(options) => calls::run(&options),
        Command::Memory(options) => memory::run(&options),
        Command::Restart(options) => restart::run(&options),
        Command::Leaks(options) => leaks::run(&options),
        Command::Players(options) => players::run(&options),
        Command::Whep(options) => whep::run(&options),
        Command::Mix(options) => mix::run(&options),
        Command::Chat(options) => chat::run(&options),
        Command::Floods(options) => floods::run(&options),
        Command::All(options) => all::run(&options),
        Command::Bare(options) => bare::run(&options),
    };
    match outcome {
        Ok(table::Verdict::Reached) => ExitCode::SUCCESS,
        Ok(table::Verdict::Short) => ExitCode::from(1),
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::from(2)
        }
    }
}
