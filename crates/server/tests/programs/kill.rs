//! The real server, killed fifty times at random moments while it is busy: every change that it answered is there after
//! the restart, and of one that it did not answer all or nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use access::sessions::Sessions;
use room::UserId;
use roomservice::config::Settings;
use roomservice::keys;
use serde_json::{Value, json};
use sign::token::Generation;
use store::clock::{Clock, System};

/// How long one of the fifty lives at most.
const LIFE: Duration = Duration::from_secs(240);
const CYCLES: u64 = 50;
const CLIENTS: usize = 8;
const ROOMS: usize = 3;

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(data: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = testkit::bounded::program_within(env!("CARGO_BIN_EXE_roomservice"), LIFE)
            .env("ROOMSERVICE_DATA_DIR", data)
            .env("ROOMSERVICE_HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:0")
            .env("ROOMSERVICE_LOGS__LEVEL", "warn")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "the server did not start");
            assert!(begun.elapsed() < Duration::from_secs(20), "the server does not listen");
            std::thread::yield_now();
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        testkit::bounded::end(&mut self.process);
    }
}

/// A user on a connection, until the server goes away.
struct Caller<'a> {
    user: &'a str,
    token: &'a str,
    stream: BufReader<TcpStream>,
}

impl<'a> Caller<'a> {
    fn connect(port: u16, user: &'a str, token: &'a str) -> Option<Self> {
        Some(Self { user, token, stream: BufReader::new(TcpStream::connect(("127.0.0.1", port)).ok()?) })
    }

    /// The answer, if one came whole.
    fn call(&mut self, name: &str, mut body: Value) -> Option<Value> {
        body["userID"] = self.user.into();
        let body = body.to_string();
        let request = format!(
            "POST /weapp/live_room/{name}?userID={}&token={} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.user,
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).ok()?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).ok()?;
        serde_json::from_slice(&answer).ok()
    }

    /// The likes of a room, if there is one; `None` if the server went away.
    fn look(&mut self, room: &str) -> Option<Option<u64>> {
        let answer = self.call("get_custom_info", json!({ "roomID": room }))?;
        match answer["code"].as_i64() {
            Some(0) => Some(Some(answer["custom"]["likes"].as_u64().unwrap_or(0))),
            Some(3) => Some(None),
            _ => panic!("{answer}"),
        }
    }
}

/// A room as its owner knows it: what was answered last, and what may have come of what was not.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    push_url: String,
    answered: Option<u64>,
    perhaps: Option<Option<u64>>,
}

fn work(caller: &mut Caller<'_>, rooms: &mut [Known], mut dice: u64, answered: &AtomicUsize) {
    loop {
        // A linear congruence is random enough to mix the calls.
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let room = &mut rooms[(dice >> 40) as usize % ROOMS];
        let (name, body, next) = match room.answered {
            None => ("add_pusher", json!({ "roomID": room.id, "pushURL": room.push_url, "userName": "n" }), Some(0)),
            Some(_) if (dice >> 50).is_multiple_of(4) => ("delete_pusher", json!({ "roomID": room.id }), None),
            Some(n) => {
                let body = json!({ "roomID": room.id, "fieldName": "likes", "operation": "inc" });
                ("set_custom_field", body, Some(n + 1))
            }
        };
        room.perhaps = Some(next);
        let Some(answer) = caller.call(name, body) else { return };
        assert_eq!(answer["code"], 0, "{name}: {answer}");
        room.answered = next;
        room.perhaps = None;
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn fifty_kills_lose_nothing_that_was_answered() {
    let data = tempfile::tempdir().unwrap();
    let mut settings = Settings { data_dir: data.path().into(), ..Settings::default() };
    keys::complete(&mut settings).unwrap();
    let sessions = Sessions::new(&settings.sessions).unwrap();
    let users: Vec<String> = (0..CLIENTS).map(|n| format!("user{n}")).collect();
    let open = |user: &String| sessions.open(&UserId::parse(user).unwrap(), Generation::Second, System.now()).unwrap();
    let tokens: Vec<String> = users.iter().map(open).collect();
    let mut known: Vec<Vec<Known>> = Vec::new();
    let answered = AtomicUsize::new(0);
    let mut undecided = 0;
    for cycle in 0..=CYCLES {
        let mut server = Server::start(data.path());
        let port = server.port;
        if cycle == 0 {
            for (user, token) in users.iter().zip(&tokens) {
                let mut caller = Caller::connect(port, user, token).unwrap();
                let room = |n| {
                    let id = format!("{user}-{n}");
                    let answer = caller.call("get_push_url", json!({ "roomID": id })).unwrap();
                    let push_url = answer["pushURL"].as_str().unwrap().to_owned();
                    Known { id, push_url, answered: None, perhaps: None }
                };
                known.push((0..ROOMS).map(room).collect());
            }
        }
        for ((rooms, user), token) in known.iter_mut().zip(&users).zip(&tokens) {
            let mut caller = Caller::connect(port, user, token).unwrap();
            for room in rooms {
                let found = caller.look(&room.id).expect("nobody kills the server yet");
                if found != room.answered {
                    assert_eq!(Some(found), room.perhaps, "cycle {cycle}: {room:?} is now {found:?}");
                    undecided += 1;
                }
                room.answered = found;
                room.perhaps = None;
            }
        }
        if cycle == CYCLES {
            break;
        }
        let kill_at = answered.load(Ordering::Relaxed) + 20 + (cycle * 37 % 150) as usize;
        std::thread::scope(|scope| {
            for (n, (rooms, (user, token))) in known.iter_mut().zip(users.iter().zip(&tokens)).enumerate() {
                let answered = &answered;
                scope.spawn(move || {
                    let mut caller = Caller::connect(port, user, token).unwrap();
                    work(&mut caller, rooms, cycle * 1000 + n as u64, answered);
                });
            }
            // The moment is counted in answers, so that a slow machine is killed as busy as a fast one.
            while answered.load(Ordering::Relaxed) < kill_at {
                std::thread::yield_now();
            }
            server.process.kill().unwrap();
        });
    }
    // If no kill ever fell between a commit and its answer, the moments were badly chosen.
    assert!(undecided > 0, "of {} answered changes none was cut off", answered.load(Ordering::Relaxed));
}
