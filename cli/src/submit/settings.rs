//! The settings of a submit: the analysis of its batch, and the stack's settings for the
//! estimate.

use std::path::Path;

use docket::config::DEFAULT_MAX_TOKENS;
use docket::domain::ids::BatchId;
use serde_json::{Map, Value, json};

use super::estimate::Settings;
use crate::aws::functions::{list_mappings, read_function};
use crate::client::Client;
use crate::error::CommandError;
use crate::plan::DEFAULT_MODEL;

/// The template's defaults of `MaximumConcurrency` and `BatchSize`.
const DEFAULT_CONCURRENCY: u32 = 10;
const DEFAULT_BATCH_SIZE: u32 = 10;

/// The settings of a batch; an empty object sets nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BatchSettings {
    fields: Map<String, Value>,
}

impl BatchSettings {
    /// Reads the analysis from a JSON or YAML file, and adds labels, instructions
    /// and evidence.
    ///
    /// # Errors
    /// The problem with the file, or a setting that is given twice.
    pub fn new(
        file: Option<&Path>,
        labels: &[String],
        instructions: Option<&str>,
        evidence: bool,
        deduplicate: Option<bool>,
    ) -> Result<Self, String> {
        let mut analysis = file.map_or_else(|| Ok(Map::new()), read_analysis)?;
        let flags = [
            ("labels", (!labels.is_empty()).then(|| json!(labels))),
            ("instructions", instructions.map(|text| json!(text))),
            ("evidence", evidence.then_some(Value::Bool(true))),
        ];
        for (name, value) in flags {
            let Some(value) = value else { continue };
            if analysis.insert(name.to_owned(), value).is_some() {
                return Err(format!("--{name}: the file of --analysis sets `{name}`, too"));
            }
        }
        let Self { mut fields } = Self::from_analysis(analysis);
        fields.extend(deduplicate.map(|flag| ("deduplicate".to_owned(), json!(flag))));
        Ok(Self { fields })
    }

    /// Takes a whole analysis; an empty one sets nothing.
    pub fn from_analysis(analysis: Map<String, Value>) -> Self {
        let mut fields = Map::new();
        if !analysis.is_empty() {
            fields.insert("analysis".to_owned(), Value::Object(analysis));
        }
        Self { fields }
    }

    /// The model of the analysis.
    fn model(&self) -> Option<&str> {
        self.fields.get("analysis")?["model_id"].as_str()
    }
}

fn read_analysis(file: &Path) -> Result<Map<String, Value>, String> {
    let problem = |error: &dyn std::fmt::Display| format!("--analysis {}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| problem(&error))?;
    // JSON is YAML, but a JSON parser has clearer errors.
    let is_json = text.trim_start().starts_with('{');
    let value: Value = match is_json {
        true => serde_json::from_str(&text).map_err(|error| problem(&error))?,
        false => serde_saphyr::from_str(&text).map_err(|error| problem(&error))?,
    };
    match value {
        Value::Object(analysis) => Ok(analysis),
        _ => Err(problem(&"must be an object with the fields of an analysis")),
    }
}

/// Creates the batch, or checks that the existing one takes jobs. A batch that exists keeps its
/// settings if this submit has none.
pub(crate) async fn prepare_batch(
    client: &Client,
    batch_id: &BatchId,
    settings: &BatchSettings,
) -> Result<Value, CommandError> {
    if settings.fields.is_empty()
        && let Some(batch) = client.get(&format!("/batches/{batch_id}")).await?
    {
        return check_not_cancelled(batch);
    }
    let mut body = settings.fields.clone();
    body.insert("batch_id".to_owned(), json!(batch_id));
    let response = client.ask("POST", "/batches", Some(&Value::Object(body)), &[201, 409, 413, 422]).await?;
    let json = response.json();
    match response.status {
        201 => check_not_cancelled(json),
        409 => Err(CommandError::Failed(format!(
            "the batch {batch_id} has other settings: use another --batch, or the settings of the first submit, or none"
        ))),
        _ => {
            let detail = json["detail"].as_str().unwrap_or_default();
            Err(CommandError::Usage(format!("the API refuses the settings of the batch: {detail}")))
        }
    }
}

fn check_not_cancelled(batch: Value) -> Result<Value, CommandError> {
    match batch["cancelled_at"].as_str() {
        Some(at) => Err(CommandError::Failed(format!("the batch was cancelled at {at}: use another --batch"))),
        None => Ok(batch),
    }
}

/// The stack's settings as far as this caller may read them.
pub(super) async fn read_settings(client: &Client, batch: &BatchSettings) -> Settings {
    let found = find_settings(client).await;
    let are_of_stack = found.is_some();
    let settings = found.unwrap_or_else(|| Settings {
        model: DEFAULT_MODEL.to_owned(),
        maximum_concurrency: DEFAULT_CONCURRENCY,
        batch_size: DEFAULT_BATCH_SIZE,
        max_tokens: f64::from(DEFAULT_MAX_TOKENS),
        tokens_per_minute: None,
        requests_per_minute: None,
        are_of_stack,
    });
    Settings { model: batch.model().map_or(settings.model, str::to_owned), ..settings }
}

async fn find_settings(client: &Client) -> Option<Settings> {
    let function = client.output("ConsumerFunctionName").ok()?;
    let queue = client.output("JobsQueueUrl").ok()?.rsplit('/').next()?;
    let environment = read_function(&client.connection, function).await.ok()?.environment;
    let mappings = list_mappings(&client.connection, function).await.ok()?;
    let mapping = mappings.into_iter().find(|mapping| mapping.source_arn.ends_with(&format!(":{queue}")))?;
    let number = |name: &str| environment.get(name).and_then(|text| text.parse::<f64>().ok()).filter(|n| *n > 0.0);
    Some(Settings {
        model: environment.get("MODEL_ID").cloned().unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
        maximum_concurrency: mapping.maximum_concurrency.unwrap_or(DEFAULT_CONCURRENCY),
        batch_size: mapping.batch_size.unwrap_or(DEFAULT_BATCH_SIZE),
        max_tokens: number("MAX_TOKENS").unwrap_or(f64::from(DEFAULT_MAX_TOKENS)),
        tokens_per_minute: number("MODEL_TOKENS_PER_MINUTE"),
        requests_per_minute: number("MODEL_REQUESTS_PER_MINUTE"),
        are_of_stack: true,
    })
}
