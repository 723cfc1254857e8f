//! The request of Converse: its conversation, and how it asks for the answer. A
//! conversation that Bedrock would refuse is refused.

use serde_json::Value;

use crate::reading;

/// An estimate: four characters a token.
pub fn count_tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

/// How a request asks for the answer.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    Tool { name: &'a str, choice: &'static str },
    JsonSchema,
    Text,
}

impl Form<'_> {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tool { choice, .. } => choice,
            Self::JsonSchema => "json_schema",
            Self::Text => "text",
        }
    }
}

/// The parameters of a request that the stand-in uses.
pub struct ConverseRequest<'a> {
    pub job_id: &'a str,
    pub attempt: &'a str,
    pub call: &'a str,
    pub generation: &'a str,
    pub form: Form<'a>,
    pub schema: Value,
    pub text: String,
    /// The caller's complaint about an earlier answer.
    pub complaint: Option<String>,
    pub input_tokens: u64,
    pub max_tokens: u64,
    pub temperature: Option<f64>,
}

impl<'a> ConverseRequest<'a> {
    pub fn parse(request: &'a Value) -> Result<Self, &'static str> {
        let text_at = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
        let messages = request.get("messages").and_then(Value::as_array).ok_or("messages must have a message")?;
        let text = reading::read_message(messages.first().ok_or("messages must have a message")?)?;
        let (form, schema) = read_form(request, &messages[0])?;
        let prompt_bytes = text_at("/system/0/text").unwrap_or_default().len() + schema.to_string().len();
        let later: usize = messages[1..].iter().map(|message| message.to_string().len()).sum();
        Ok(Self {
            job_id: text_at("/requestMetadata/job_id").unwrap_or("?"),
            attempt: text_at("/requestMetadata/attempt").unwrap_or("?"),
            call: text_at("/requestMetadata/call").unwrap_or("?"),
            generation: text_at("/requestMetadata/generation").unwrap_or("?"),
            complaint: read_complaint(messages, form)?,
            form,
            schema,
            input_tokens: count_tokens(&text) + (prompt_bytes + later) as u64 / 4,
            temperature: request.pointer("/inferenceConfig/temperature").and_then(Value::as_f64),
            max_tokens: request.pointer("/inferenceConfig/maxTokens").and_then(Value::as_u64).unwrap_or(4_096),
            text,
        })
    }
}

/// The form, and the schema of the answer: that of the tool, of the structured output, or in
/// the text of the task.
fn read_form<'a>(request: &'a Value, message: &'a Value) -> Result<(Form<'a>, Value), &'static str> {
    if let Some(tool) = request.pointer("/toolConfig/tools/0/toolSpec") {
        let name = tool.get("name").and_then(Value::as_str).ok_or("toolSpec must have a name")?;
        let schema = tool.pointer("/inputSchema/json").ok_or("toolSpec must have an inputSchema.json")?;
        let choices = request.pointer("/toolConfig/toolChoice");
        let is = |kind: &&&str| choices.is_some_and(|choice| choice.get(**kind).is_some());
        let choice = ["tool", "any", "auto"].iter().find(is).copied().unwrap_or("auto");
        return Ok((Form::Tool { name, choice }, schema.clone()));
    }
    if let Some(format) = request.pointer("/outputConfig/textFormat") {
        let schema = format.pointer("/structure/jsonSchema/schema").and_then(Value::as_str);
        let schema = schema.and_then(|schema| serde_json::from_str(schema).ok()).ok_or("the schema must be JSON")?;
        return Ok((Form::JsonSchema, schema));
    }
    let blocks = message.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let task = blocks.iter().find_map(|block| block.get("text")).and_then(Value::as_str).unwrap_or_default();
    let schema = task.find('{').and_then(|start| serde_json::from_str(&task[start..]).ok());
    Ok((Form::Text, schema.ok_or("the stand-in needs a tool, a structured output, or a schema in the task")?))
}

/// Checks the later messages, and returns what the last one says.
fn read_complaint(messages: &[Value], form: Form<'_>) -> Result<Option<String>, &'static str> {
    let blocks = |message: &Value| message.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
    let text_of = |block: &Value| block.get("text").and_then(Value::as_str).map(str::to_owned);
    let [first, reply, last] = messages else {
        return match messages {
            // The task is the first text block.
            [only] => Ok(blocks(only).iter().filter_map(text_of).nth(1)),
            _ => Err("the conversation must end with a user message"),
        };
    };
    if first["role"] != "user" || reply["role"] != "assistant" || last["role"] != "user" {
        return Err("roles must alternate between user and assistant");
    }
    let (replied, said) = (blocks(reply), blocks(last));
    if replied.is_empty() || replied.iter().any(|block| text_of(block).is_some_and(|text| text.trim().is_empty())) {
        return Err("text content blocks must be non-empty");
    }
    let ids = |blocks: &[Value], kind: &str| -> Vec<Value> {
        blocks.iter().filter_map(|block| block.get(kind)).map(|block| block["toolUseId"].clone()).collect()
    };
    if ids(&replied, "toolUse") != ids(&said, "toolResult") {
        return Err("each toolUse block must have a toolResult block in the next message");
    }
    if replied.iter().any(|block| block.pointer("/toolUse/input").is_some_and(|input| !input.is_object())) {
        return Err("toolUse.input must be a JSON object");
    }
    let has_tools = matches!(form, Form::Tool { .. });
    if !ids(&replied, "toolUse").is_empty() && !has_tools {
        return Err("The toolConfig field must be defined when using toolUse and toolResult content blocks.");
    }
    let result = said.iter().find_map(|block| block.pointer("/toolResult/content/0")).and_then(text_of);
    Ok(result.or_else(|| said.iter().find_map(text_of)))
}
