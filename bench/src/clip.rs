//! The clip that streams are made of, and ffmpeg that makes and pushes it. Knows no server but its push URL.

use crate::Failure;
use crate::server::{Running, Workspace, bound};
use memchr::memmem;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const SECONDS: u32 = 30;
/// Those who come late come apart by no whole part of the GOP, so that they meet it at all its points.
pub const LATE_EVERY: Duration = Duration::from_millis(170);
/// Pictures a second.
pub const PICTURES: u32 = 25;

/// 640x360, 25 pictures a second without B-frames, about 0.6 Mbit/s with sound.
pub struct Clip(PathBuf);

impl Clip {
    /// Encodes it.
    pub fn make(workspace: &Workspace) -> Result<Self, Failure> {
        let clip = workspace.path().join("clip.mp4");
        let picture = format!("testsrc2=size=640x360:rate={PICTURES}:duration={SECONDS},noise=alls=12:allf=t");
        let sound = format!("sine=frequency=440:sample_rate=44100:duration={SECONDS}");
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound]);
        command.args(["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "baseline"]);
        command.args(["-pix_fmt", "yuv420p", "-g", "50", "-b:v", "550k", "-maxrate", "550k", "-bufsize", "550k"]);
        command.args(["-c:a", "aac", "-b:a", "64k"]);
        finish(command.arg(&clip), "make the clip")?;
        Ok(Clip(clip))
    }

    /// The same in fragments of MP4, as something that flows has.
    pub fn fragments(&self) -> Result<PathBuf, Failure> {
        let made = self.0.with_extension("fragments.mp4");
        let mut command = ffmpeg();
        command.arg("-i").arg(&self.0).args(["-c", "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof"]);
        finish(command.arg(&made), "cut the clip into fragments")?;
        Ok(made)
    }

    /// Its bytes a second.
    pub fn rate(&self) -> Result<f64, Failure> {
        Ok(std::fs::metadata(&self.0)?.len() as f64 / f64::from(SECONDS))
    }

    /// What its pictures are made of.
    pub fn slices(&self) -> Result<Slices, Failure> {
        let raw = self.0.with_extension("h264");
        let mut command = ffmpeg();
        command.arg("-i").arg(&self.0).args(["-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "h264"]);
        finish(command.arg(&raw), "take the clip apart")?;
        let bytes = std::fs::read(&raw)?;
        let all: HashSet<Box<[u8]>> = units(&bytes).filter(|unit| is_slice(unit)).map(Box::from).collect();
        Ok(Slices { rate: bytes.len() as f64 / f64::from(SECONDS), all })
    }

    /// Pushes it again and again. ffmpeg shares the generator's core: it inherits this process's.
    pub fn push(&self, workspace: &Workspace, url: &str) -> Result<Running, Failure> {
        let mut command = bound("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i"]).arg(&self.0);
        command.args(["-c", "copy", "-f", "flv", url]);
        Running::start(&mut command, &workspace.path().join("ffmpeg.out"))
    }
}

/// The slices of all pictures of a clip, to compare with what is played.
pub struct Slices {
    /// Bytes of pictures a second.
    pub rate: f64,
    all: HashSet<Box<[u8]>>,
}

impl Slices {
    /// Whether a picture (H.264 as Annex B has it) consists of slices of the clip, and of at least one.
    pub fn hold(&self, picture: &[u8]) -> bool {
        let mut slices = units(picture).filter(|unit| is_slice(unit)).peekable();
        slices.peek().is_some() && slices.all(|slice| self.all.contains(slice))
    }
}

/// Whether a picture (H.264 as Annex B has it) can be decoded without others.
pub fn is_key(picture: &[u8]) -> bool {
    units(picture).any(|unit| kind(unit) == 5)
}

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |head| head & 0x1f)
}

fn is_slice(unit: &[u8]) -> bool {
    (1..=5).contains(&kind(unit))
}

/// The units between start codes, without the zeros that may follow them.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = memmem::find_iter(stream, b"\0\0\x01").map(|at| at + 3).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().map_or(stream.len(), |next| next - 3);
        let unit = stream.get(start..end).unwrap_or_default();
        let zeros = unit.iter().rev().take_while(|&&byte| byte == 0).count();
        unit.get(..unit.len() - zeros)
    })
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-y", "-hide_banner", "-loglevel", "error"]);
    command
}

fn finish(command: &mut Command, what: &str) -> Result<(), Failure> {
    let done = command.stdin(Stdio::null()).status().map_err(|why| format!("cannot run ffmpeg: {why}"))?;
    if done.success() { Ok(()) } else { Err(format!("ffmpeg could not {what}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_of_the_clip_if_all_its_slices_are() {
        let all = [&b"\x65one"[..], b"\x41two"].map(Box::from).into_iter().collect();
        let slices = Slices { rate: 0.0, all };
        assert!(slices.hold(b"\0\0\0\x01\x67sps\0\0\0\x01\x65one\0\0\x01\x41two\0\0"));
        assert!(!slices.hold(b"\0\0\0\x01\x65one\0\0\x01\x41three"), "a slice of another");
        assert!(!slices.hold(b"\0\0\0\x01\x67sps"), "no slice");
        assert!(!slices.hold(b"\x65one"), "no start code");
        assert!(is_key(b"\0\0\x01\x68pps\0\0\x01\x65one") && !is_key(b"\0\0\x01\x41two"));
    }
}
