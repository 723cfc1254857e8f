//! `docket results`: all results of a batch as CSV, JSON Lines or a folder of JSON files.

pub(crate) mod csv_file;
mod output;

use std::path::{Path, PathBuf};

use docket::domain::ids::BatchId;
use serde_json::json;

pub(crate) use self::output::Format;
use self::output::Output;
use crate::aws::connect::Target;
use crate::batch::read_batch;
use crate::client::Client;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::pages::each_result;
use crate::terminal::{Progress, print_status, print_text, print_verdict};

/// The options of a download.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The batch.
    pub batch_id: BatchId,
    /// The file or the folder.
    pub output: PathBuf,
    /// The format.
    pub format: Format,
    /// Whether the CSV begins with a byte order mark.
    pub has_mark: bool,
    /// Whether the summary is JSON.
    pub json: bool,
}

/// The format that an extension names: csv, jsonl, or none for a folder.
///
/// # Errors
/// Another extension.
pub(crate) fn format_of(output: &Path) -> Result<Format, String> {
    let extension = output.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
        None => Ok(Format::Folder),
        _ if output.is_dir() => Ok(Format::Folder),
        Some(other) => Err(format!("--output: .{other} names no format; use .csv, .jsonl, a folder, or --format")),
    }
}

/// Runs the command, and prints the summary.
pub(crate) async fn run(target: &Target, options: &Options) -> Exit {
    match try_run(target, options).await {
        Ok(exit) => exit,
        Err(error) => {
            print_status(&error.to_string());
            error.exit()
        }
    }
}

async fn try_run(target: &Target, options: &Options) -> Result<Exit, CommandError> {
    let client = Client::open(target).await?;
    let batch = read_batch(&client, &options.batch_id).await?;
    let mut output = Output::create(&options.output, options.format, options.has_mark)?;
    let mut progress = Progress::new();
    each_result(&client, &options.batch_id, |job| {
        output.write(&job)?;
        let done = output.results + output.failures;
        progress.show("", done, batch.expected(), &format!("{done} results"));
        Ok(())
    })
    .await?;
    drop(progress);
    let (results, failures) = (output.results, output.failures);
    let errors_file = output.finish()?;
    let errors_file = errors_file.as_ref().map(|path| path.display().to_string());
    let (exit, verdict) = batch.verdict();
    if options.json {
        let output = options.output.display().to_string();
        let summary = json!({
            "batch_id": options.batch_id, "output": output, "results": results, "failures": failures,
            "errors_file": errors_file, "expected_jobs": batch.expected(),
        });
        print_text(&format!("{summary}\n"));
    }
    let errors = errors_file.map(|path| format!(", {failures} failures in {path}")).unwrap_or_default();
    print_verdict(exit == Exit::Done, &format!("{results} results in {}{errors}; {verdict}", options.output.display()));
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_names_the_format() {
        for (path, expected) in
            [("a.csv", Format::Csv), ("a.CSV", Format::Csv), ("a.jsonl", Format::JsonLines), ("a/", Format::Folder)]
        {
            assert_eq!(format_of(Path::new(path)), Ok(expected), "{path}");
        }
        assert!(format_of(Path::new("a.xlsx")).is_err_and(|problem| problem.contains(".xlsx")));
    }
}
