//! Which questions count as failures of the backend.

use bytes::Bytes;
use room::chat::Body;
use sign::Secret;
use store::clock::{Clock, Manual};
use store::{History, Journal};

use super::*;
use crate::{Post, Posted};

/// A backend that answers after a time, if it answers.
struct Slow(Mutex<Option<Duration>>);

impl Post for Slow {
    fn post(&self, _: &str, _: &[(&'static str, String)], _: Bytes, _: Duration) -> Posted {
        let takes = *self.0.lock();
        Box::pin(async move {
            match takes {
                Some(takes) => tokio::time::sleep(takes).await,
                None => std::future::pending().await,
            }
            Ok(Answered { status: 200, body: Bytes::new() })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_of_ours_is_no_failure_of_the_backend() {
    let dir = std::env::temp_dir().join(format!("roomservice-ask-{:016x}", sign::fresh_id()));
    let (outbox, _) = mpsc::unbounded_channel();
    let history: Arc<dyn History> = Arc::new(Journal::open(&dir, true, Arc::default(), outbox, Millis(0)).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(Manual::at(Millis(1_000_000)));
    let backend = Arc::new(Slow(Mutex::new(Some(Duration::from_millis(800)))));
    let settings = Settings {
        urls: vec!["http://backend/hook".into()],
        secret: Secret::new("a secret of sixteen"),
        messages: Messages::Before,
        ask_timeout_ms: 1000,
        ask_unanswered: Unanswered::Deny,
        ..Settings::default()
    };
    let hooks = Hooks::new(&settings, backend.clone(), history, clock);
    let room = RoomId::parse("r").unwrap();
    let said = Said { from: UserId::parse("ann").unwrap(), nick: None, random: None, body: Body::new("[]").unwrap() };
    let ask = || hooks.may_say(Whom::Room(&room), &said);
    let all = futures_util::future::join_all((0..3 * ABREAST).map(|_| ask())).await;
    assert_eq!(all.iter().filter(|may| may.is_ok()).count(), ABREAST, "the others had no time left");
    assert_eq!(ask().await, Ok(()), "it is asked as before");
    *backend.0.lock() = None;
    for _ in 0..5 {
        assert!(ask().await.is_err());
    }
    let began = Instant::now();
    assert!(ask().await.is_err() && began.elapsed().is_zero(), "one that does not answer is not waited for again");
    let _ = std::fs::remove_dir_all(dir);
}
