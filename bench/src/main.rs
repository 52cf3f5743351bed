//! Load generator and side-by-side harness: one file per subcommand, README.md says what they print.
//! Knows the server only by its program file, its environment and its wire; shares no code with it
//! but the signatures that a client's backend makes.

mod api;
mod bare;
mod calls;
mod chat;
mod floods;
mod flv;
mod frames;
mod http;
mod leaks;
mod memory;
mod players;
mod restart;
mod rtmp;
mod server;
mod sweep;
mod table;
mod ws;

use clap::{Parser, Subcommand};
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
    /// Memory, delay and deliveries per CPU second of WebSocket chat.
    Chat(chat::Options),
    /// The time of an ordinary call beside idle and half connections and unwanted datagrams.
    Floods(floods::Options),
    /// The bare handler that `http` compares with; serves until it is ended.
    Bare(bare::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Http(options) => calls::run(&options),
        Command::Memory(options) => memory::run(&options),
        Command::Restart(options) => restart::run(&options),
        Command::Leaks(options) => leaks::run(&options),
        Command::Players(options) => players::run(&options),
        Command::Chat(options) => chat::run(&options),
        Command::Floods(options) => floods::run(&options),
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
