//! A language model on this machine, which answers in place of the analyst. A small server
//! (`tools/language_model.py`) runs it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::conversation::{ConverseRequest, Form};
use crate::reading;

/// A small model needs seconds, and other calls may wait before it.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The server of a language model.
#[derive(Debug, Clone)]
pub struct LanguageModel {
    url: String,
}

/// The model's text, with its tokens.
#[derive(Debug, Deserialize)]
pub struct Written {
    pub text: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Whether the maximum of tokens ended the text.
    pub is_cut: bool,
}

impl LanguageModel {
    /// A server whose address is `url`, such as `http://127.0.0.1:9100`.
    pub fn new(url: String) -> Self {
        Self { url }
    }

    /// Lets the model answer a request of Converse. Structured output restricts what the
    /// model can write to the schema, as Bedrock does.
    ///
    /// # Errors
    /// The server's error as text.
    pub async fn write(&self, request: &ConverseRequest<'_>, body: &Value) -> Result<Written, String> {
        let url = format!("{}/complete", self.url);
        let sent = json!({
            "messages": to_messages(request, body)?,
            "schema": matches!(request.form, Form::JsonSchema).then_some(&request.schema),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature.unwrap_or(0.0),
        });
        let send = move || -> Result<Written, ureq::Error> {
            let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into();
            agent.post(&url).send_json(sent)?.body_mut().read_json()
        };
        let written = tokio::task::spawn_blocking(send).await.map_err(|error| error.to_string())?;
        written.map_err(|error| error.to_string())
    }
}

/// The conversation as texts. A model without tools reads the schema in its instructions.
fn to_messages(request: &ConverseRequest<'_>, body: &Value) -> Result<Vec<Value>, String> {
    let system = body.pointer("/system/0/text").and_then(Value::as_str).unwrap_or_default();
    let instructions = match request.form {
        Form::Text => system.to_owned(),
        _ => format!("{system}\n\nAnswer with one JSON object that fits this JSON Schema:\n{}", request.schema),
    };
    let mut messages = vec![json!({"role": "system", "content": instructions})];
    for message in body["messages"].as_array().into_iter().flatten() {
        let blocks = message["content"].as_array().into_iter().flatten();
        let mut texts: Vec<String> = blocks.filter_map(block_text).collect();
        texts.insert(0, reading::read_message(message)?);
        texts.retain(|text| !text.trim().is_empty());
        messages.push(json!({"role": message["role"], "content": texts.join("\n\n")}));
    }
    Ok(messages)
}

fn block_text(block: &Value) -> Option<String> {
    let text = block.get("text").or_else(|| block.pointer("/toolResult/content/0/text")).and_then(Value::as_str);
    text.map(str::to_owned).or_else(|| block.pointer("/toolUse/input").map(Value::to_string))
}

/// The content of an answer, and its stop reason. A text that is one JSON object becomes
/// the input of the tool that the request offers. Any other text stays text.
pub fn say(form: Form<'_>, written: &Written) -> (&'static str, Value) {
    let object = serde_json::from_str(written.text.trim()).ok().filter(Value::is_object);
    let (reason, content) = match (form, object) {
        (Form::Tool { name, .. }, Some(input)) => {
            ("tool_use", json!([{"toolUse": {"toolUseId": "written-1", "name": name, "input": input}}]))
        }
        _ => ("end_turn", json!([{"text": written.text}])),
    };
    (if written.is_cut { "max_tokens" } else { reason }, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Written {
        Written { text: text.to_owned(), input_tokens: 1, output_tokens: 1, is_cut: false }
    }

    #[test]
    fn json_object_becomes_the_input_of_the_tool() {
        let form = Form::Tool { name: "analysis", choice: "tool" };
        let (reason, content) = say(form, &written(" {\"a\": 1}\n"));
        assert_eq!((reason, &content[0]["toolUse"]["input"]), ("tool_use", &json!({"a": 1})));
        let (reason, content) = say(form, &written("Here it is: {\"a\": 1}"));
        assert_eq!((reason, &content[0]["text"]), ("end_turn", &json!("Here it is: {\"a\": 1}")));
        let (reason, _) = say(form, &Written { is_cut: true, ..written("{\"a\": 1}") });
        assert_eq!(reason, "max_tokens");
    }

    #[test]
    fn conversation_is_sent_with_schema_document_and_complaint() {
        let body = json!({
            "system": [{"text": "Analyse."}],
            "toolConfig": {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}]},
            "messages": [
                {"role": "user", "content": [{"text": "Task"}, {"document": {
                    "name": "d", "format": "txt", "source": {"bytes": "VGhlIHJlbnQu"}}}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "t", "input": {}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "It lacks a."}]}}]},
            ],
        });
        let request = ConverseRequest::parse(&body).unwrap();
        let messages = to_messages(&request, &body).unwrap();
        let contents: Vec<&str> = messages.iter().filter_map(|message| message["content"].as_str()).collect();
        assert!(contents[0].starts_with("Analyse.") && contents[0].ends_with("{\"type\":\"object\"}"), "{contents:?}");
        assert_eq!(contents[1..], ["The rent.\n\nTask", "{}", "It lacks a."]);
    }
}
