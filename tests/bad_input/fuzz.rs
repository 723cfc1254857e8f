//! Fuzzing by [bolero](https://docs.rs/bolero), with inputs that are samples of
//! the real thing, broken.
//!
//! bolero's engine for `cargo test` on stable draws random choices and does not
//! mutate a corpus. So the choices say which sample is taken and how it is
//! broken, and nearly every input is almost right. A failing one is printed, made
//! smaller where bolero can, with `BOLERO_RANDOM_SEED=…`, which runs it again first.

use std::fmt;
use std::fs::File;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::panic::RefUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bolero::{BorrowedInput, ByteSliceGenerator, DefaultEngine, Driver, TestTarget, ValueGenerator};

/// How much memory the whole process may take, all targets side by side.
const MEMORY_LIMIT_KB: u64 = 128 * 1024;

/// Longest input, in bytes.
const INPUT_MAX_BYTES: usize = 64 * 1024;

/// What JSON, text and our own formats mind.
const WORDS: [&str; 20] = [
    "null",
    "\\ud800",
    "\\u0000",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "[]",
    "{}",
    "[[[[",
    "{\"a\":",
    "true",
    "\u{feff}",
    "\u{202e}",
    "\"job_id\"",
    "\"Records\"",
    "\0",
    "%ff",
    "%",
    "+",
];

/// Runs `target` on broken samples for `FUZZ_SECONDS` (1 by default).
///
/// A panic is bolero's to report. What ends the process, such as a stack that
/// overflows, leaves its input in `target/tmp/`, in a file named after the test;
/// `FUZZ_INPUT=path` runs such a file, and nothing else.
pub fn fuzz(
    check: TestTarget<ByteSliceGenerator, DefaultEngine, BorrowedInput>,
    samples: &[Vec<u8>],
    target: impl Fn(&[u8]) + RefUnwindSafe,
) {
    if let Ok(path) = std::env::var("FUZZ_INPUT") {
        return target(&std::fs::read(path).expect("FUZZ_INPUT names a file"));
    }
    samples.iter().for_each(|sample| target(sample));
    let seconds = std::env::var("FUZZ_SECONDS").unwrap_or_default().parse().unwrap_or(1);
    let name = std::thread::current().name().expect("a test has a name").to_owned();
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    let under_way = File::create(&path).expect("a file");
    let inputs = AtomicU64::new(0);
    check.with_generator(Broken(samples)).with_test_time(Duration::from_secs(seconds)).for_each(|input| {
        under_way.set_len(0).and_then(|()| under_way.write_all_at(&input.0, 0)).expect("written");
        target(&input.0);
        inputs.fetch_add(1, Relaxed);
    });
    std::fs::remove_file(path).expect("removed");
    println!("{name}: {} inputs in {seconds} s, {} kB of memory at most", inputs.load(Relaxed), peak_kb());
    assert!(inputs.load(Relaxed) > 100, "too slow to tell anything");
    assert!(peak_kb() < MEMORY_LIMIT_KB, "{} kB of memory", peak_kb());
}

/// The most memory that the process has had; zero where the system does not say.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    peak.unwrap_or_default()
}

/// An input, printed so that it can be pasted as a literal.
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Makes inputs of samples: flips, cuts, repeats, splices, and [`WORDS`].
struct Broken<'a>(&'a [Vec<u8>]);

impl ValueGenerator for Broken<'_> {
    type Output = Input;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Input> {
        let mut bytes = self.0[below(driver, self.0.len())?].clone();
        for _ in 0..=below(driver, 5)? {
            self.break_once(driver, &mut bytes)?;
        }
        bytes.truncate(INPUT_MAX_BYTES);
        Some(Input(bytes))
    }
}

impl Broken<'_> {
    fn break_once<D: Driver>(&self, driver: &mut D, bytes: &mut Vec<u8>) -> Option<()> {
        let at = below(driver, bytes.len() + 1)?;
        match below(driver, 6)? {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(driver, 8)?,
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, WORDS[below(driver, WORDS.len())?].bytes())),
            3 => {
                let end = (at + below(driver, 64)?).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + below(driver, 64)?).min(bytes.len());
                let again = bytes[at..end].repeat(1 + below(driver, 19)?);
                bytes.splice(at..at, again);
            }
            _ => {
                let other = &self.0[below(driver, self.0.len())?];
                let from = below(driver, other.len() + 1)?;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
        Some(())
    }
}

fn below<D: Driver>(driver: &mut D, end: usize) -> Option<usize> {
    driver.gen_usize(Bound::Unbounded, Bound::Excluded(&end))
}
