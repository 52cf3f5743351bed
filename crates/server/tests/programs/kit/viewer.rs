//! A viewer of HTTP-FLV that counts the pictures it gets.

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use media::flv::demux::Demuxer;
use media::frame::Kind;
use testkit::bounded::program;

use super::Running;

/// A viewer of HTTP-FLV that goes on.
pub struct Viewer {
    pub curl: Running,
    pictures: Arc<AtomicUsize>,
}

impl Viewer {
    pub fn watch(url: &str) -> Self {
        let mut command = program("curl");
        let mut child = command.args(["-sN", url]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let pictures = Arc::new(AtomicUsize::new(0));
        let seen = pictures.clone();
        std::thread::spawn(move || {
            let mut demuxer = Demuxer::default();
            let mut buffer = vec![0; 65536];
            while let Ok(n @ 1..) = out.read(&mut buffer) {
                demuxer.push(&buffer[..n]);
                while let Some(frame) = demuxer.next_frame().unwrap() {
                    seen.fetch_add(usize::from(frame.kind == Kind::Video), Ordering::Relaxed);
                }
            }
        });
        Self { curl: Running(child), pictures }
    }

    pub fn pictures(&self) -> usize {
        self.pictures.load(Ordering::Relaxed)
    }
}
