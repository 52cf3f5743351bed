//! A process that is one of several: its rooms and its chat are in Redis.

use std::sync::Arc;

use access::bans::Bans;
use chat::bus::Bus;
use room::{Millis, Rules};
use store::Target;
use store::clock::{Clock, Simulated};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Parts, Process, sessions};
use crate::redis::wire::Socket;
use crate::world::{Shared, World};

impl Process {
    /// Starts on this machine, as the program does; Redis need not be there.
    ///
    /// # Errors
    /// The settings of sessions are wrong.
    pub async fn start_shared(world: &Arc<World>, shared: &Shared, machine: usize) -> Result<Arc<Self>, String> {
        let clock = Arc::new(Simulated::new(world.begun, world.wall.clone()));
        let rules = Arc::new(Rules::default());
        let (outbox, committed) = mpsc::unbounded_channel();
        let over = CancellationToken::new();
        let socket = Socket::new(shared.redis.clone(), shared.wires[machine].clone(), over.clone());
        let sentinels = (0..3).map(|n| (format!("sentinel{n}"), 26379)).collect();
        let target = Target::simulated_sentinels(socket, sentinels, crate::redis::MASTER);
        let bus = Arc::new(Bus::new(target.clone(), None));
        let told = Some(chat::hub::told as store::redis::Tell);
        let redis = store::Redis::open(target, rules.clone(), outbox, told).await.with_replicas(shared.replicas);
        let redis = Arc::new(redis);
        let hub = chat::Hub::shared(&chat::Settings::default(), clock.clone(), bus.clone());
        let parts = Parts {
            clock: clock.clone(),
            rules,
            store: redis.clone(),
            history: redis.clone(),
            journal: None,
            hub,
            committed,
            over,
        };
        let sessions = sessions()?;
        let bans = Arc::new(Bans::default());
        // Where Redis is away it is asked again.
        let store: &dyn store::Store = &*redis;
        if let Ok(revoked) = store.revoked(Millis(0)).await {
            sessions.refuse(&revoked, clock.now());
            bans.take(store.bans(Millis(0)).await.unwrap_or_default(), clock.now());
        }
        let process = Self::assemble(world, parts, sessions, bans);
        process.clone().spawn(bus.run(process.hub.clone()));
        let this = process.clone();
        process.clone().spawn(async move { this.sessions.follow(&*this.store, &*this.clock).await });
        let this = process.clone();
        process.clone().spawn(async move { this.moderation.follow().await });
        process.begin().await;
        Ok(process)
    }
}
