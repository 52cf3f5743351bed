//! The process around a server: starts it, listens to signals, notifies the service manager, and ends in good order. SIGTERM
//! lets sessions end first; SIGINT does not wait for them; a second one of either ends at once; SIGHUP reads the
//! settings again.

use std::io::IsTerminal;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Settings;
use crate::greeting;
use crate::lan;
use crate::print;
use crate::reload::Reload;
use crate::start::Server;
use crate::supervisor::Supervisor;

/// What may take long at the end and has no bound of its own: the disk.
const SLACK: Duration = Duration::from_secs(3);

/// Serves until a signal ends it.
///
/// # Errors
/// It does not start, or was asked a second time to end.
pub fn serve(settings: Settings, reload: Reload) -> Result<(), String> {
    allow_many_connections();
    note_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let ended = runtime.block_on(run(settings, reload));
    // What still runs after its time is up is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

async fn run(settings: Settings, mut reload: Reload) -> Result<(), String> {
    // Before the start, so that a signal during it is not lost.
    let mut signals = Signals::listen().map_err(|e| e.to_string())?;
    let supervisor = Supervisor::of(|name| std::env::var(name).ok());
    let drain_timeout = settings.drain_timeout;
    reload.drain_timeout = drain_timeout;
    let server = Server::start(settings).await.map_err(|e| e.to_string())?;
    greet(&server);
    supervisor.ready();
    let patience = tokio::select! {
        never = supervisor.watch() => match never {},
        patience = serve_until_told(&server, &mut signals, &supervisor, &mut reload) => patience,
    };
    supervisor.stopping();
    let logs = server.app.logs.clone();
    let last_words = logs.clone();
    let end = async {
        server.drain(patience).await;
        end_within(Server::LONGEST_STOP + SLACK);
        let app = server.app.clone();
        server.stop().await;
        // The store is closed with it, which waits for the disk: beside this thread, which hears signals.
        let _ = tokio::task::spawn_blocking(move || {
            drop(app);
            last_words.end();
        })
        .await;
    };
    tokio::select! {
        () = end => Ok(()),
        () = signals.told_to_end() => {
            end_within(SLACK);
            logs.end();
            Err("told to end a second time: ending at once".into())
        }
        never = supervisor.watch() => match never {},
    }
}

/// Ends the process after this time in any case. A thread that waits for a disk which does not answer cannot be told to
/// leave, and neither can what waits for that thread. Nothing that was answered is lost by it.
fn end_within(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        // The log may be what does not answer; this waits for nobody who does not read.
        print::error("the end took too long: a disk does not answer; ending all the same");
        std::process::exit(1);
    });
}

/// Returns for how long sessions may go on.
async fn serve_until_told(
    server: &Server,
    signals: &mut Signals,
    supervisor: &Supervisor,
    reload: &mut Reload,
) -> Duration {
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => {
                supervisor.reloading();
                reload.read_again(&server.app);
                supervisor.ready();
            }
            _ = signals.terminate.recv() => {
                let patience = reload.drain_timeout.time(server.is_alone());
                tracing::info!(seconds = patience.as_secs(), "ending: sessions may go on for so long");
                return patience;
            }
            _ = signals.interrupt.recv() => {
                tracing::info!("ending");
                return Duration::ZERO;
            }
        }
    }
}

/// Panics go to the log, whose lines wait for nobody: printed by the thread that panics, one stops it where nobody reads.
fn note_panics() {
    let printed = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if tracing::dispatcher::has_been_set() {
            tracing::error!("{panic}");
        } else {
            printed(panic);
        }
    }));
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn told_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Every connection is a file: as many as the system lets this process have.
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, the limit stays as it is: it bounds connections and breaks nothing.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn greet(server: &Server) {
    let mut text = greeting::of(server);
    if let Some(address) = server.lan {
        let interface = lan::interface(address.ip());
        text.push_str(&lan::greeting(address, interface.as_deref(), std::io::stdout().is_terminal()));
    }
    // It serves whether or not that is read.
    std::thread::spawn(move || print::attempt(&text));
}
