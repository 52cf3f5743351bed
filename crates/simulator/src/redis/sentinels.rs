//! The Sentinels: what each of them says of the master, and how a failover goes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep};

use super::Redis;
use super::resp::{Reply, Text};
use super::serve::{Arriving, Back};

/// The name of the master.
pub const NAME: &str = "main";

/// What they know.
pub struct Sentinels {
    known: Mutex<Known>,
    /// What they publish: channel and text.
    news: broadcast::Sender<(&'static str, String)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    watched: usize,
    named: usize,
    epoch: u64,
    /// A failover is under way.
    leads: bool,
}

impl Sentinels {
    /// All is well, and the first server is the master.
    pub fn new() -> Self {
        Self { known: Mutex::default(), news: broadcast::Sender::new(64) }
    }

    /// Whether a failover is under way.
    pub fn are_busy(&self) -> bool {
        self.known.lock().leads
    }

    fn say(&self, channel: &'static str, text: String) {
        // Nobody may listen.
        let _ = self.news.send((channel, text));
    }

    fn master(&self) -> Reply {
        let known = *self.known.lock();
        let (host, port) = Redis::address(known.watched);
        let flags = if known.leads { "master,failover_in_progress" } else { "master" };
        let fields = [
            ("name", NAME.to_owned()),
            ("ip", host),
            ("port", port.to_string()),
            ("flags", flags.to_owned()),
            ("config-epoch", known.epoch.to_string()),
        ];
        Reply::texts(fields.into_iter().flat_map(|(name, value)| [name.into(), value.into()]))
    }

    fn named(&self) -> Reply {
        let (host, port) = Redis::address(self.known.lock().named);
        Reply::texts([host.into(), port.to_string().into()])
    }
}

impl Redis {
    /// A failover: after `begins` it takes a replica, which is the master after `takes`; the old one hears of it after
    /// `tells`. False: there is no replica that it could take.
    pub async fn fail_over(self: &Arc<Self>, begins: u64, takes: u64, tells: u64) -> bool {
        let pause = |ms| sleep(Duration::from_millis(ms));
        pause(begins).await;
        if self.sentinels.are_busy() {
            return false;
        }
        let old = {
            let mut known = self.sentinels.known.lock();
            known.leads = true;
            known.watched
        };
        let text = |host: usize| {
            let (name, port) = Self::address(host);
            format!("{name} {port}")
        };
        self.sentinels.say("+try-failover", format!("master {NAME} {}", text(old)));
        pause(takes).await;
        let Some(new) = self.best_replica() else {
            self.sentinels.known.lock().leads = false;
            self.sentinels.say("-failover-abort-no-good-slave", format!("master {NAME} {}", text(old)));
            return false;
        };
        self.promote(new);
        {
            let mut known = self.sentinels.known.lock();
            known.named = new;
            known.epoch += 1;
        }
        self.sentinels.say("+failover-state-reconf-slaves", format!("master {NAME} {}", text(old)));
        pause(tells).await;
        self.follow_master();
        {
            let mut known = self.sentinels.known.lock();
            known.watched = new;
            known.leads = false;
        }
        self.sentinels.say("+switch-master", format!("{NAME} {} {}", text(old), text(new)));
        true
    }

    /// Sees to it that all servers follow the master, as Sentinels do now and then.
    pub fn tidy(&self) {
        if !self.sentinels.are_busy() {
            self.follow_master();
        }
    }
}

/// Answers as a Sentinel.
pub async fn work(redis: &Redis, arrives: UnboundedReceiver<(Instant, Vec<u8>)>, mut back: Back) {
    let mut arriving = Arriving::new(arrives);
    let mut news = redis.sentinels.news.subscribe();
    let mut subscribed: Vec<Text> = Vec::new();
    let wire = back.wire.clone();
    loop {
        let words = tokio::select! {
            words = arriving.next(&wire) => words,
            Ok((channel, text)) = news.recv(), if !subscribed.is_empty() => {
                for pattern in &subscribed {
                    if let Some(message) = message(pattern, channel, &text) {
                        back.send(&message);
                    }
                }
                continue;
            }
        };
        let Some(words) = words else { return };
        let upper = |n: usize| words.get(n).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let reply = match (upper(0).as_slice(), upper(1).as_slice()) {
            (b"SENTINEL", b"MASTER") => redis.sentinels.master(),
            (b"SENTINEL", _) => redis.sentinels.named(),
            (name @ (b"SUBSCRIBE" | b"PSUBSCRIBE"), _) => {
                subscribed.push(words[1].clone());
                let kind = name.to_ascii_lowercase();
                Reply::List(vec![Reply::Text(kind), Reply::Text(words[1].clone()), Reply::count(subscribed.len())])
            }
            _ => Reply::Word("OK"),
        };
        if !back.send(&reply) {
            return;
        }
    }
}

/// What a subscriber hears, if it is for it. A pattern has a star at both ends.
fn message(pattern: &[u8], channel: &str, text: &str) -> Option<Reply> {
    let pattern = String::from_utf8_lossy(pattern);
    let inner = pattern.trim_matches('*');
    let exact = inner.len() == pattern.len();
    let fits = if exact { channel == pattern } else { channel.contains(inner) };
    let words = if exact { vec!["message", channel, text] } else { vec!["pmessage", &pattern, channel, text] };
    fits.then(|| Reply::texts(words.into_iter().map(Text::from)))
}
