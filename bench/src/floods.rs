//! `bench floods`: how long an ordinary call takes beside thousands of connections that do nothing, half do something, or
//! only make noise; compared with a quiet server.

use crate::api::{Api, Keys, Session};
use crate::http::{Connection, get, post};
use crate::server::{Server, Setup, Workspace};
use crate::table::{Verdict, line, note};
use crate::{Failure, Outcome};
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Calls of one measurement.
const CALLS: usize = 3_000;
/// Between floods: what was held is let go on both sides.
const SETTLE: Duration = Duration::from_secs(2);
/// A quiet server answers in less than the clocks of such machines can be trusted with.
const LEAST: Duration = Duration::from_micros(500);

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Connections of each kind.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    options.setup.pin_generator()?;
    let workspace = Workspace::new()?;
    let keys = Keys::generate()?;
    let config = keys.write_config(&workspace)?;
    let server = Server::roomservice(&options.setup, &workspace, Some(&config))?;
    let api = Api { address: server.http, kind: "multi_room" };
    // A user may have a few WebSockets only.
    let sessions = api.sessions(&keys, (0..options.connections.div_ceil(4)).map(|n| format!("user{n}")))?;
    let session = sessions.first().ok_or("no session")?;

    // Twice: the first measurement pays for what the first calls need.
    p99(&api, session)?;
    let quiet = p99(&api, session)?;
    note("a call on a quiet server, 99 of 100", show(quiet));
    let bound = quiet.max(LEAST) * 3;
    let verdict = |name: &str, took: Duration| line(name, show(took), &format!("<= {}", show(bound)), took <= bound);

    let head = String::from_utf8(post(server.http, "/weapp/multi_room/login", "{}"))?;
    let half = head.as_bytes().get(..40).unwrap_or_default();
    let socket = |session: &Session| {
        format!(
            "GET /ws?{} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            session.query()
        )
    };
    let sockets: Vec<Vec<u8>> = sessions.iter().map(|session| socket(session).into_bytes()).collect();
    let whole = get(server.http, "/healthz");
    let kinds: [(&str, SocketAddr, &[Vec<u8>]); 6] = [
        ("idle HTTP connections", server.http, &[Vec::new()]),
        ("HTTP connections after a request", server.http, &[whole]),
        ("half requests (slowloris)", server.http, &[half.to_vec()]),
        ("WebSockets", server.http, &sockets),
        ("idle RTMP connections", server.rtmp, &[Vec::new()]),
        ("half RTMP handshakes", server.rtmp, &[b"\x03\0\0\0\0\0\0\0\0half of it".to_vec()]),
    ];
    let mut reached = Verdict::Reached;
    for (name, to, bytes) in kinds {
        let mut held = Vec::with_capacity(options.connections as usize);
        for bytes in bytes.iter().cycle().take(options.connections as usize) {
            let mut socket = TcpStream::connect(to)?;
            socket.write_all(bytes)?;
            held.push(socket);
        }
        reached = reached.and(verdict(&format!("beside {} {name}", held.len()), p99(&api, session)?));
        drop(held);
        thread::sleep(SETTLE);
    }
    let (took, sent) = beside_datagrams(server.udp()?, || p99(&api, session))?;
    note("datagrams that nobody asked for", format!("{sent:.0}/s"));
    reached = reached.and(verdict("beside them", took));
    Ok(options.setup.judge(reached))
}

/// Measures while STUN requests of strangers come as fast as one thread sends them.
fn beside_datagrams(
    to: SocketAddr,
    measure: impl FnOnce() -> Result<Duration, Failure>,
) -> Result<(Duration, f64), Failure> {
    let stop = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { return };
            let mut request = [0_u8; 20];
            request[1] = 1;
            request[4..8].copy_from_slice(&0x2112_a442_u32.to_be_bytes());
            while !stop.load(Ordering::Relaxed) {
                if socket.send_to(&request, to).is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let began = Instant::now();
        let took = measure();
        stop.store(true, Ordering::Relaxed);
        Ok((took?, sent.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()))
    })
}

/// The time that 99 of 100 calls take at most, one after the other.
fn p99(api: &Api, session: &Session) -> Result<Duration, Failure> {
    let request = api.room_list(session, 20, 0);
    let mut connection = Connection::open(api.address)?;
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        connection.send(&request)?;
        let status = connection.receive()?.status;
        if status != 200 {
            return Err(format!("a call was answered {status}").into());
        }
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took.get(CALLS * 99 / 100).copied().unwrap_or_default())
}

fn show(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
