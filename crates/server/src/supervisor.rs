//! Notifies the service manager of how the process is, as sd_notify(3) has it: a datagram of lines to the socket that
//! `NOTIFY_SOCKET` names. Without one nothing is sent. Knows nothing of what the process does.

use std::convert::Infallible;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names. One that cannot be reached is none, and the log says why.
    #[must_use]
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let Some(name) = variable("NOTIFY_SOCKET") else { return Self::default() };
        let socket = address(&name).and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            // A manager that does not read must not hold us up.
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        });
        let socket = socket.inspect_err(|error| tracing::warn!(%error, name, "NOTIFY_SOCKET cannot be used")).ok();
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let every = variable("WATCHDOG_USEC").and_then(|text| text.parse().ok()).filter(|every| *every > 0 && ours);
        Self { socket, watchdog: every.map(Duration::from_micros) }
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!(%error, state, "the service manager cannot be notified");
        }
    }

    /// Everything runs, or runs again after [`Supervisor::reloading`].
    pub fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// The settings are being read again.
    pub fn reloading(&self) {
        // The manager tells this reload from an earlier one by the monotonic time.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=letting sessions end");
    }

    /// Shows signs of life for as long as it is polled, twice as often as the manager wants them: if the runtime hangs, the
    /// process is taken for dead.
    pub async fn watch(&self) -> Infallible {
        let Some(every) = self.watchdog else { return std::future::pending().await };
        let mut beat = tokio::time::interval(every / 2);
        loop {
            beat.tick().await;
            self.tell("WATCHDOG=1");
        }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut text = [0; 256];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_hears_what_becomes_of_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::of(|name| match name {
            "NOTIFY_SOCKET" => Some(path.to_str().unwrap().to_owned()),
            "WATCHDOG_USEC" => Some("2000000".into()),
            _ => None,
        });
        supervisor.ready();
        assert!(heard(&manager).starts_with("READY=1\n"));
        supervisor.reloading();
        let reloading = heard(&manager);
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
        let begun = tokio::time::Instant::now();
        let watching = tokio::time::timeout(Duration::from_millis(3500), supervisor.watch());
        assert!(watching.await.is_err(), "it watches for ever");
        for _ in 0..4 {
            assert_eq!(heard(&manager), "WATCHDOG=1", "at once, and each second after");
        }
        assert!(begun.elapsed() < Duration::from_secs(4));
        supervisor.stopping();
        assert!(heard(&manager).starts_with("STOPPING=1"), "and no more signs of life between");
    }

    #[test]
    fn abstract_names_are_found_and_without_a_manager_nothing_happens() {
        let name = format!("roomservice-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let supervisor = Supervisor::of(|asked| (asked == "NOTIFY_SOCKET").then(|| format!("@{name}")));
        supervisor.ready();
        assert!(heard(&manager).starts_with("READY=1"));
        Supervisor::of(|_| None).ready();
    }
}
