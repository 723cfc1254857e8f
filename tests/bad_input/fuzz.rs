//! Fuzzing by [bolero](https://docs.rs/bolero), with corrupted samples of real inputs.
//!
//! On stable Rust, bolero's engine for `cargo test` draws random choices and mutates no
//! corpus. Here the choices select a sample and its corruptions, so that nearly every
//! input is almost valid.
//!
//! bolero prints a failing input, reduced if possible, with a `BOLERO_RANDOM_SEED` that
//! repeats it first.

use std::fmt;
use std::fs::File;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::panic::RefUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bolero::{BorrowedInput, ByteSliceGenerator, DefaultEngine, Driver, TestTarget, ValueGenerator};

/// Most memory of the process, with all targets in parallel.
const MEMORY_LIMIT_KB: u64 = 128 * 1024;

/// Longest input, in bytes.
const INPUT_MAX_BYTES: usize = 64 * 1024;

/// Inserted texts that are special in JSON, in UTF-8 or in Docket's formats.
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

/// Runs `target` on every sample, then on corrupted samples for `FUZZ_SECONDS` (1 by
/// default).
///
/// bolero reports a panic. An input that ends the process, for example by a stack
/// overflow, remains in `target/tmp/`, in a file named after the test. `FUZZ_INPUT=path`
/// runs only the input in that file.
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
    let name = std::thread::current().name().expect("the thread has the test's name").to_owned();
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    let current = File::create(&path).expect("a new file");
    let inputs = AtomicU64::new(0);
    check.with_generator(CorruptedSamples(samples)).with_test_time(Duration::from_secs(seconds)).for_each(|input| {
        current.set_len(0).and_then(|()| current.write_all_at(&input.0, 0)).expect("the input is written");
        target(&input.0);
        inputs.fetch_add(1, Relaxed);
    });
    std::fs::remove_file(path).expect("the file is removed");
    println!("{name}: {} inputs in {seconds} s, at most {} kB of memory", inputs.load(Relaxed), peak_kb());
    assert!(inputs.load(Relaxed) > 100, "too few inputs: the target is too slow");
    assert!(
        peak_kb() < MEMORY_LIMIT_KB,
        "the process used {} kB of memory; the limit is {MEMORY_LIMIT_KB} kB",
        peak_kb()
    );
}

/// The peak memory of the process; zero if the system does not report it.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    peak.unwrap_or_default()
}

/// An input; its `Debug` form is a byte string literal.
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Generates inputs from samples: it flips bits, cuts, repeats, splices, and inserts
/// [`WORDS`].
struct CorruptedSamples<'a>(&'a [Vec<u8>]);

impl ValueGenerator for CorruptedSamples<'_> {
    type Output = Input;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Input> {
        let mut bytes = self.0[draw_below(driver, self.0.len())?].clone();
        for _ in 0..=draw_below(driver, 5)? {
            self.corrupt(driver, &mut bytes)?;
        }
        bytes.truncate(INPUT_MAX_BYTES);
        Some(Input(bytes))
    }
}

impl CorruptedSamples<'_> {
    fn corrupt<D: Driver>(&self, driver: &mut D, bytes: &mut Vec<u8>) -> Option<()> {
        let at = draw_below(driver, bytes.len() + 1)?;
        match draw_below(driver, 6)? {
            0 if at < bytes.len() => bytes[at] ^= 1 << draw_below(driver, 8)?,
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, WORDS[draw_below(driver, WORDS.len())?].bytes())),
            3 => {
                let end = (at + draw_below(driver, 64)?).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + draw_below(driver, 64)?).min(bytes.len());
                let repeated = bytes[at..end].repeat(1 + draw_below(driver, 19)?);
                bytes.splice(at..at, repeated);
            }
            _ => {
                let other = &self.0[draw_below(driver, self.0.len())?];
                let from = draw_below(driver, other.len() + 1)?;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
        Some(())
    }
}

/// A number below `end`.
fn draw_below<D: Driver>(driver: &mut D, end: usize) -> Option<usize> {
    driver.gen_usize(Bound::Unbounded, Bound::Excluded(&end))
}
