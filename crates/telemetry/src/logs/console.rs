//! The console. Lines wait in a bounded queue for a thread of its own, so that nobody waits for who reads them; what has no
//! place there is dropped and counted.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Most lines that wait.
const WAITING: usize = 16 * 1024;
/// How long the last lines may take to be written.
const PATIENCE: Duration = Duration::from_millis(1200);

/// What ends a console, and what it lost.
pub(super) struct Console {
    /// Dropped, it writes what waits, for a second at most where nobody reads.
    guard: Mutex<Option<WorkerGuard>>,
    dropped: ErrorCounter,
}

/// A writer that never waits, of lines that go to `out`.
pub(super) fn open(out: impl Write + Send + 'static) -> (NonBlocking, Console) {
    let known = Arc::new(OnceLock::new());
    let noting = Noting { out, known: known.clone(), said: 0 };
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(WAITING).thread_name("console").finish(noting);
    let dropped = writer.error_counter();
    let _ = known.set(dropped.clone());
    (writer, Console { guard: Mutex::new(Some(guard)), dropped })
}

impl Console {
    /// Lines that were dropped.
    pub fn lost(&self) -> u64 {
        self.dropped.dropped_lines() as u64
    }

    /// Writes what waits, and takes no more.
    pub fn end(&self) {
        let Some(guard) = self.guard.lock().take() else { return };
        // Where nobody reads, it prints that, which is not read either.
        let (ended, end) = mpsc::channel();
        let finish = move || {
            drop(guard);
            let _ = ended.send(());
        };
        if std::thread::Builder::new().name("console's end".into()).spawn(finish).is_ok() {
            let _ = end.recv_timeout(PATIENCE);
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end();
    }
}

/// Says where lines are missing.
struct Noting<W> {
    out: W,
    known: Arc<OnceLock<ErrorCounter>>,
    /// Dropped lines that were told of.
    said: usize,
}

impl<W: Write> Write for Noting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A line comes whole.
        self.out.write_all(bytes)?;
        let dropped = self.known.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped > self.said {
            let new = dropped - self.said;
            self.said = dropped;
            writeln!(self.out, "{new} lines were dropped: nobody read them in time")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A pipe that takes a line each time it is asked to.
    struct Pipe {
        may: mpsc::Receiver<()>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Whoever reads all sends no more.
            let _ = self.may.recv();
            self.read.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn piped() -> (NonBlocking, Console, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (go, may) = mpsc::channel();
        let read = Arc::new(Mutex::new(Vec::new()));
        let (writer, console) = open(Pipe { may, read: read.clone() });
        (writer, console, go, read)
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        let (mut writer, console, go, read) = piped();
        let begun = Instant::now();
        for n in 0..WAITING + 100 {
            writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        // One more may be with the pipe.
        assert!((99..=100).contains(&console.lost()), "{}", console.lost());
        console.end();
        assert!(begun.elapsed() < Duration::from_secs(20), "the end waits a second, not for ever");
        drop(go);
        // What was taken, not the first lines alone where the thread began late, and the line that tells of the rest.
        let expected = WAITING + 100 - console.lost() as usize + 1;
        let begun = Instant::now();
        while read.lock().iter().filter(|byte| **byte == b'\n').count() < expected {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = String::from_utf8(read.lock().clone()).unwrap();
        assert!(text.lines().nth(1).unwrap().ends_with(" lines were dropped: nobody read them in time"), "{text:.100}");
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let (mut writer, console, go, read) = piped();
        for n in 0..1000 {
            writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        drop(go);
        console.end();
        assert_eq!((console.lost(), read.lock().iter().filter(|byte| **byte == b'\n').count()), (0, 1000));
    }
}
