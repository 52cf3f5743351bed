//! A connection's socket, its session, and the bytes between them. Knows neither the hub nor what the connection is for.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::session::{Event, Session, Timeouts};
use super::socket::Socket;
use crate::ended::Ended;

/// Read buffer of a connection whose purpose is not known yet.
pub(super) const BUFFER: usize = 4 << 10;
/// How long a connection may take to say goodbye when the server ends.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);

/// A socket with its session and the bytes read and not handled yet.
pub(super) struct Link {
    pub socket: Socket,
    pub session: Session,
    pub buffer: Box<[u8]>,
    pub start: usize,
    pub end: usize,
    pub(super) write_timeout: Duration,
}

impl Link {
    pub(super) fn new(socket: Socket, timeouts: Timeouts, write_timeout: Duration) -> Self {
        Link {
            socket,
            session: Session::new(timeouts, Instant::now().into_std()),
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            write_timeout,
        }
    }

    /// The next event out of what was read already.
    pub(super) fn buffered_event(&mut self) -> Result<Option<Event>, Ended> {
        if self.start == self.end {
            return Ok(None);
        }
        let mut input = &self.buffer[self.start..self.end];
        let event = self.session.handle(&mut input, Instant::now().into_std());
        self.start = self.end - input.len();
        event
    }

    /// The next event, reading as needed, within the session's deadline.
    pub(super) async fn next_event(&mut self) -> Result<Event, Ended> {
        loop {
            if let Some(event) = self.buffered_event()? {
                return Ok(event);
            }
            self.flush().await?;
            let read = self.socket.read(&mut self.buffer);
            let count = match self.session.deadline() {
                None => read.await?,
                Some(deadline) => match tokio::time::timeout_at(deadline.into(), read).await {
                    Ok(count) => count?,
                    Err(_) => {
                        self.session.overdue(Instant::now().into_std())?;
                        continue;
                    }
                },
            };
            if count == 0 {
                return Err(Ended::Closed);
            }
            self.start = 0;
            self.end = count;
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        let out = self.session.take_output();
        if out.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(self.write_timeout, self.socket.write_all(&out)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Ended::TooSlow),
        }
    }

    /// Says what the session still had to say (a refusal, mostly) if the peer listens, and ends the connection. What the
    /// peer sends meanwhile is read: closing a socket with unread bytes would take back what was said.
    pub(super) async fn farewell(&mut self) {
        let said = self.flush().await.is_ok();
        let _ = self.socket.shutdown().await;
        let drain = async { while self.socket.read(&mut self.buffer).await.is_ok_and(|count| count > 0) {} };
        if said {
            let _ = tokio::time::timeout(FAREWELL, drain).await;
        }
    }

    /// Gives the read buffer another size, keeping what is in it.
    pub(super) fn resize(&mut self, size: usize) {
        let kept = &self.buffer[self.start..self.end];
        let mut buffer = vec![0; size.max(kept.len())];
        buffer[..kept.len()].copy_from_slice(kept);
        self.start = 0;
        self.end = kept.len();
        self.buffer = buffer.into();
    }

    pub(super) fn refuse(&mut self, why: Ended) -> Ended {
        self.session.reject(&why, Instant::now().into_std());
        why
    }
}
