//! The files of a download. They are written next to their places, and renamed at the end.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::csv_file::Table;
use crate::error::CommandError;

/// The format of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table.
    Csv,
    /// A job a line.
    JsonLines,
    /// A file a job.
    Folder,
}

enum Sink {
    Csv(Box<Table<BufWriter<File>>>),
    JsonLines(BufWriter<File>),
    Folder,
}

/// The output of a download: complete jobs, and failed or cancelled ones apart.
pub(super) struct Output {
    target: PathBuf,
    partial: Partial,
    sink: Sink,
    has_mark: bool,
    errors: Option<(Partial, Table<BufWriter<File>>)>,
    /// Complete jobs so far.
    pub results: u64,
    /// Failed and cancelled jobs so far.
    pub failures: u64,
}

impl Output {
    /// Creates the partial output.
    ///
    /// # Errors
    /// The file or folder cannot be created, or the target is a folder with other files.
    pub fn create(target: &Path, format: Format, has_mark: bool) -> Result<Self, CommandError> {
        check_target(target, format)?;
        let partial = Partial::next_to(target);
        let of_file = |error: std::io::Error| CommandError::of_file(&partial.path, &error);
        let create = || File::create(&partial.path).map(BufWriter::new).map_err(of_file);
        let sink = match format {
            Format::Csv => {
                let table = Table::of_results(create()?, has_mark).map_err(|error| of_csv(&partial.path, &error))?;
                Sink::Csv(Box::new(table))
            }
            Format::JsonLines => Sink::JsonLines(create()?),
            Format::Folder => {
                fs::create_dir(&partial.path).map_err(of_file)?;
                Sink::Folder
            }
        };
        Ok(Self { target: target.to_owned(), partial, sink, has_mark, errors: None, results: 0, failures: 0 })
    }

    /// Writes a finished job.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&mut self, job: &Value) -> Result<(), CommandError> {
        if job["status"] != "complete" {
            self.failures += 1;
            return self.write_failure(job);
        }
        self.results += 1;
        let of_file = |error: std::io::Error| CommandError::of_file(&self.partial.path, &error);
        match &mut self.sink {
            Sink::Csv(table) => table.write(job).map_err(|error| of_csv(&self.partial.path, &error)),
            Sink::JsonLines(file) => writeln!(file, "{job}").map_err(of_file),
            Sink::Folder => {
                let name = format!("{}.json", job["job_id"].as_str().unwrap_or_default());
                let text = serde_json::to_string_pretty(job).unwrap_or_default() + "\n";
                fs::write(self.partial.path.join(name), text).map_err(of_file)
            }
        }
    }

    fn write_failure(&mut self, job: &Value) -> Result<(), CommandError> {
        if self.errors.is_none() {
            let partial = Partial::next_to(&errors_file(&self.target));
            let file = File::create(&partial.path).map_err(|error| CommandError::of_file(&partial.path, &error))?;
            let table = Table::of_failures(BufWriter::new(file), self.has_mark);
            let table = table.map_err(|error| of_csv(&partial.path, &error))?;
            self.errors = Some((partial, table));
        }
        let (partial, table) = self.errors.as_mut().expect("the table was just made");
        table.write(job).map_err(|error| of_csv(&partial.path, &error))
    }

    /// Puts the files into their places. Returns the file of failures if there are some; the
    /// file of an earlier download is removed otherwise.
    ///
    /// # Errors
    /// A file cannot be written or renamed.
    pub fn finish(self) -> Result<Option<PathBuf>, CommandError> {
        match self.sink {
            Sink::Csv(table) => {
                let file = table.finish().map_err(|error| of_csv(&self.partial.path, &error))?;
                close(file, &self.partial.path)?;
            }
            Sink::JsonLines(file) => close(file, &self.partial.path)?,
            // A new folder replaces no folder with files.
            Sink::Folder if self.target.is_dir() => {
                fs::remove_dir_all(&self.target).map_err(|error| CommandError::of_file(&self.target, &error))?;
            }
            Sink::Folder => {}
        }
        self.partial.publish(&self.target)?;
        let errors = errors_file(&self.target);
        match self.errors {
            Some((partial, table)) => {
                close(table.finish().map_err(|error| of_csv(&partial.path, &error))?, &partial.path)?;
                partial.publish(&errors)?;
                Ok(Some(errors))
            }
            None => match fs::remove_file(&errors) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(CommandError::of_file(&errors, &error))
                }
                _ => Ok(None),
            },
        }
    }
}

/// Refuses a folder that has other files than an earlier download.
fn check_target(target: &Path, format: Format) -> Result<(), CommandError> {
    if !target.is_dir() {
        return Ok(());
    }
    if format != Format::Folder {
        return Err(CommandError::Usage(format!("--output {}: is a folder", target.display())));
    }
    let entries = fs::read_dir(target).map_err(|error| CommandError::of_file(target, &error))?;
    let is_result = |entry: &fs::DirEntry| Path::new(&entry.file_name()).extension().is_some_and(|end| end == "json");
    match entries.flatten().find(|entry| !is_result(entry)) {
        Some(other) => Err(CommandError::Usage(format!(
            "--output {}: the folder has {}, which is no result; name a new folder",
            target.display(),
            other.file_name().display()
        ))),
        None => Ok(()),
    }
}

fn errors_file(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".errors.csv");
    target.with_file_name(name)
}

fn close(file: BufWriter<File>, path: &Path) -> Result<(), CommandError> {
    let closed = file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
    closed.map_err(|error| CommandError::of_file(path, &error))
}

fn of_csv(path: &Path, error: &csv::Error) -> CommandError {
    CommandError::of_file(path, error)
}

/// A file or folder next to its place. Dropping it removes it, unless it was published.
struct Partial {
    path: PathBuf,
    is_published: bool,
}

impl Partial {
    fn next_to(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = target.with_file_name(format!(".{name}.{:08x}.partial", fastrand::u32(..)));
        Self { path, is_published: false }
    }

    fn publish(mut self, target: &Path) -> Result<(), CommandError> {
        fs::rename(&self.path, target).map_err(|error| CommandError::of_file(target, &error))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = if self.path.is_dir() { fs::remove_dir_all(&self.path) } else { fs::remove_file(&self.path) };
        }
    }
}
