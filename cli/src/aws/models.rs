//! The model in Amazon Bedrock: whether the account may use it.

use std::collections::HashMap;

use aws_sdk_bedrock::types::InferenceProfileStatus;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, InferenceConfiguration, Message, Tool, ToolConfiguration, ToolInputSchema,
    ToolSpecification,
};
use aws_smithy_types::{Document, Number};
use docket::domain::analysis::answer_form::AnswerMode;
use serde_json::{Value, json};

use super::connect::Connection;
use super::error::AwsError;

const GET_PROFILE: &str = "bedrock:GetInferenceProfile";
const GET_AVAILABILITY: &str = "bedrock:GetFoundationModelAvailability";
const GET_MODEL: &str = "bedrock:GetFoundationModel";
const INVOKE: &str = "bedrock:InvokeModel";

/// The question of the paid call.
const PROMPT: &str = "Reply with the word OK.";
/// The tool of the paid call, which the model may use.
const TOOL: &str = "reply";
/// Limits the price of the paid call.
const CALL_MAX_TOKENS: i32 = 64;

/// The account's access to a foundation model, in the words of
/// [Bedrock](https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetFoundationModelAvailability.html).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Availability {
    /// `AVAILABLE`, `PENDING`, `NOT_AVAILABLE` or `ERROR`: the agreement for the model.
    pub agreement: String,
    /// The message of an agreement with an error.
    pub agreement_message: Option<String>,
    /// `AUTHORIZED` or `NOT_AUTHORIZED`.
    pub authorization: String,
    /// `AVAILABLE` or `NOT_AVAILABLE`: whether the account is entitled to the model.
    pub entitlement: String,
    /// `AVAILABLE` or `NOT_AVAILABLE`: whether the region offers the model.
    pub region: String,
}

/// The phase of a model's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// `ACTIVE` or `LEGACY`.
    pub status: String,
    /// The date of the model's end, if AWS has set one.
    pub end: Option<String>,
}

/// The tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallUsage {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
}

/// The foundation model behind an inference profile. `None` if the profile is not active.
///
/// # Errors
/// Bedrock does not execute the request.
pub async fn find_foundation_model(connection: &Connection, profile: &str) -> Result<Option<String>, AwsError> {
    let client = aws_sdk_bedrock::Client::new(&connection.sdk);
    let response = client.get_inference_profile().inference_profile_identifier(profile).send().await;
    let found = response.map_err(|error| AwsError::new(GET_PROFILE, &error))?;
    if found.status != InferenceProfileStatus::Active {
        return Ok(None);
    }
    let mut arns = found.models.into_iter().filter_map(|model| model.model_arn);
    Ok(arns.find_map(|arn| arn.split_once("foundation-model/").map(|(_, id)| id.to_owned())))
}

/// Reads the account's access to a foundation model.
///
/// # Errors
/// Bedrock does not execute the request.
pub async fn read_availability(connection: &Connection, model_id: &str) -> Result<Availability, AwsError> {
    let client = aws_sdk_bedrock::Client::new(&connection.sdk);
    let response = client.get_foundation_model_availability().model_id(model_id).send().await;
    let found = response.map_err(|error| AwsError::new(GET_AVAILABILITY, &error))?;
    let agreement = found.agreement_availability;
    Ok(Availability {
        agreement: agreement.as_ref().map(|agreement| agreement.status.as_str().to_owned()).unwrap_or_default(),
        agreement_message: agreement.and_then(|agreement| agreement.error_message),
        authorization: found.authorization_status.as_str().to_owned(),
        entitlement: found.entitlement_availability.as_str().to_owned(),
        region: found.region_availability.as_str().to_owned(),
    })
}

/// Reads the phase of a foundation model's life.
///
/// # Errors
/// Bedrock does not execute the request.
pub async fn read_lifecycle(connection: &Connection, model_id: &str) -> Result<Option<Lifecycle>, AwsError> {
    let client = aws_sdk_bedrock::Client::new(&connection.sdk);
    let response = client.get_foundation_model().model_identifier(model_id).send().await;
    let details = response.map_err(|error| AwsError::new(GET_MODEL, &error))?.model_details;
    Ok(details.and_then(|details| details.model_lifecycle).map(|found| Lifecycle {
        status: found.status.as_str().to_owned(),
        end: found.end_of_life_time.map(|time| time.to_string()),
    }))
}

/// Makes one small paid call, with the temperature and the request fields of the consumer's
/// environment. It offers a tool if Docket's own calls do.
///
/// # Errors
/// Bedrock does not execute the request.
pub async fn call_model(
    connection: &Connection,
    model_id: &str,
    environment: &HashMap<String, String>,
) -> Result<CallUsage, AwsError> {
    let prompt = Message::builder().role(ConversationRole::User).content(ContentBlock::Text(PROMPT.to_owned()));
    let temperature = environment.get("TEMPERATURE").and_then(|text| text.parse::<f32>().ok());
    let inference = InferenceConfiguration::builder().max_tokens(CALL_MAX_TOKENS).set_temperature(temperature);
    let fields = environment.get("MODEL_REQUEST_FIELDS").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mode = environment.get("ANSWER_MODE").and_then(|text| text.parse::<AnswerMode>().ok()).unwrap_or_default();
    let has_tool = mode.forms(model_id).first().is_some_and(|form| form.has_tool());
    let client = aws_sdk_bedrockruntime::Client::new(&connection.sdk);
    let response = client
        .converse()
        .model_id(model_id)
        .messages(prompt.build().expect("role and content are set"))
        .inference_config(inference.build())
        .set_tool_config(has_tool.then(tool_config))
        .set_additional_model_request_fields(fields.as_ref().map(to_document))
        .send()
        .await
        .map_err(|error| AwsError::new(INVOKE, &error))?;
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or(0);
    let usage = response.usage;
    Ok(CallUsage {
        input: usage.as_ref().map_or(0, |usage| count(usage.input_tokens)),
        output: usage.as_ref().map_or(0, |usage| count(usage.output_tokens)),
    })
}

fn tool_config() -> ToolConfiguration {
    let schema = json!({"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]});
    let tool = ToolSpecification::builder().name(TOOL).description("Sends the reply.");
    let tool = tool.input_schema(ToolInputSchema::Json(to_document(&schema))).build().expect("name and schema are set");
    ToolConfiguration::builder().tools(Tool::ToolSpec(tool)).build().expect("a tool is set")
}

fn to_document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(flag) => Document::Bool(*flag),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Number::PosInt(number),
            (None, Some(number)) => Number::NegInt(number),
            (None, None) => Number::Float(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(to_document).collect()),
        Value::Object(fields) => {
            Document::Object(fields.iter().map(|(name, field)| (name.clone(), to_document(field))).collect())
        }
    }
}
