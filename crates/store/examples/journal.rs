//! Measures the journal on this machine's disk: what group commit costs beside memory alone, and how long a restart takes.
//! `cargo run --release --example journal -- DIR`

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use room::custom::{Operation, set_custom_field};
use room::pushers::{NewPusher, add_pusher};
use room::{Kind, Millis, RoomId, Rules, StreamId, UserId};
use store::error::Error;
use store::{Journal, Memory, Store};
use tokio::sync::mpsc;

const ROOMS: usize = 100_000;

async fn enter(store: &dyn Store, n: usize, who: &str) -> Result<(), Error> {
    let fine = "ids of digits are fine";
    let room = RoomId::parse(&format!("room_{n:08x}")).expect(fine);
    let user = UserId::parse(who).expect(fine);
    let stream = StreamId::parse(&format!("1000_{n}_{who}")).expect(fine);
    let name = "a name of some length";
    let avatar = "https://cdn.example.com/avatars/0123456789abcdef.png";
    let info = "{}";
    let kind = Kind::Multi;
    let info = Some(info);
    let new = NewPusher { room: &room, kind, user: &user, name, avatar, stream: &stream, info };
    store.update(&room, &mut |slot| add_pusher(slot, Millis(1), &new, &Rules::default()).map(|j| j.events)).await
}

async fn like(store: &dyn Store, n: usize) -> Result<(), Error> {
    let room = RoomId::parse(&format!("room_{n:08x}")).expect("ids of digits are fine");
    store.update(&room, &mut |slot| set_custom_field(slot, Millis(1), "likes", Operation::Add(1))).await
}

/// Callers at a time, each with one call after the other; prints calls a second and how long one takes.
async fn load(name: &str, store: &Arc<dyn Store>, callers: usize) -> Result<(), Error> {
    let begun = Instant::now();
    let calls = (callers * 200).max(2_000) / callers;
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut took = Vec::with_capacity(calls);
                for n in 0..calls {
                    let begun = Instant::now();
                    like(&*store, (caller * 7919 + n * 13) % ROOMS).await?;
                    took.push(begun.elapsed());
                }
                Ok::<_, Error>(took)
            })
        })
        .collect();
    let mut took: Vec<Duration> = Vec::new();
    for task in tasks {
        took.extend(task.await.map_err(|e| Error::Unavailable(e.to_string()))??);
    }
    took.sort_unstable();
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    let at = |share: usize| took[took.len() * share / 100];
    println!("{name:8} {callers:5} callers: {rate:9.0} a second, p50 {:?}, p99 {:?}", at(50), at(99));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("which directory?")?;
    let rules = Arc::new(Rules::default());
    let open = || Journal::open(Path::new(&dir), true, rules.clone(), mpsc::unbounded_channel().0, Millis(1));
    let memory: Arc<dyn Store> = Arc::new(Memory::new(rules.clone(), mpsc::unbounded_channel().0));
    let journal = Arc::new(open()?);
    for n in 0..ROOMS {
        enter(&*memory, n, "alice").await?;
    }
    let begun = Instant::now();
    let filling: Vec<_> = (0..64)
        .map(|part| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for n in (part..ROOMS).step_by(64) {
                    enter(&*journal, n, "alice").await?;
                    enter(&*journal, n, "bob").await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for part in filling {
        part.await??;
    }
    println!("{} durable joins in {:?}", ROOMS * 2, begun.elapsed());
    let store: Arc<dyn Store> = journal.clone();
    for callers in [1, 16, 256, 2048] {
        load("memory", &memory, callers).await?;
        load("journal", &store, callers).await?;
    }
    drop((journal, store));
    let restart = |what: &str| -> std::io::Result<Journal> {
        let begun = Instant::now();
        let journal = open()?;
        println!("restart with {} rooms, {what}: {:?}", journal.len(), begun.elapsed());
        Ok(journal)
    };
    let journal = restart("from the last snapshot and the log")?;
    tokio::task::block_in_place(|| journal.snapshot())?;
    drop(journal);
    drop(restart("from a fresh snapshot")?);
    Ok(())
}
