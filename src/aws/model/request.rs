//! The request of a call: the conversation, and the form in which it asks for the answer.

use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_sdk_bedrockruntime::types::{
    AnyToolChoice, AutoToolChoice, ContentBlock, ConversationRole, DocumentBlock, DocumentFormat, DocumentSource,
    ImageBlock, ImageFormat as Picture, ImageSource, JsonSchemaDefinition, Message, OutputConfig, OutputFormat,
    OutputFormatStructure, OutputFormatType, SpecificToolChoice, Tool, ToolChoice, ToolConfiguration, ToolInputSchema,
    ToolResultBlock, ToolResultContentBlock, ToolResultStatus, ToolSpecification,
};
use aws_smithy_types::Document as SdkDocument;
use serde_json::{Value, json};

use crate::aws::json::to_document;
use crate::domain::analysis::answer_form::{AnswerForm, find_family};
use crate::domain::analysis::{Analysis, DOCUMENT_NAME, TOOL_NAME};
use crate::domain::document::{Content, Document, FileFormat, ImageFormat, Role, TextFormat};

/// A question to the model: a document and, the second time, the complaint about the first
/// answer.
#[derive(Debug)]
pub struct Question {
    document: Document,
    complaint: Option<Complaint>,
    is_probe: bool,
}

/// An answer that does not fit, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Complaint {
    /// The model's message; `None` if the model would not accept it back.
    pub(super) reply: Option<Message>,
    /// The problem, without any text of the answer.
    pub(super) problem: String,
}

impl Complaint {
    /// A complaint about an answer that fits, with which the model is asked as if for the first
    /// time.
    pub fn about_fit_answer(problem: String) -> Self {
        Self { reply: None, problem }
    }
}

impl Question {
    /// The first question about a document.
    pub fn new(document: Document) -> Self {
        Self { document, complaint: None, is_probe: false }
    }

    /// A question that only asks whether the model answers.
    pub fn probe(document: Document) -> Self {
        Self { is_probe: true, ..Self::new(document) }
    }

    /// The same question again, with a complaint about the answer.
    pub fn again(self, complaint: Complaint) -> Self {
        Self { complaint: Some(complaint), ..self }
    }

    /// Whether the question has a complaint.
    pub fn is_repair(&self) -> bool {
        self.complaint.is_some()
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The `call` of `requestMetadata`: the kind of the call within its job.
    pub(super) fn call_name(&self) -> String {
        match (&self.complaint, self.document.role()) {
            _ if self.is_probe => "probe".to_owned(),
            (Some(_), _) => "repair".to_owned(),
            (None, Role::FullDocument) => "document".to_owned(),
            (None, Role::Chunk { number, .. }) => format!("chunk-{number}"),
            (None, Role::Results) => "join".to_owned(),
        }
    }

    /// The messages of the request.
    pub(super) fn messages(&self, analysis: &Analysis, form: AnswerForm, model_id: &str) -> Built<Vec<Message>> {
        let task = analysis.task(&self.document, form);
        let first = Message::builder()
            .role(ConversationRole::User)
            .content(block(self.document.content().clone())?)
            .content(ContentBlock::Text(task));
        let Some(Complaint { reply, problem }) = &self.complaint else { return Ok(vec![first.build()?]) };
        let request = match form.has_tool() {
            true => format!("Call the tool {TOOL_NAME} again, with all fields."),
            false => "Answer again with one JSON object that has all fields.".to_owned(),
        };
        let complaint = format!("The answer was not recorded: {problem}. {request}");
        let Some(reply) = reply else {
            return Ok(vec![first.content(ContentBlock::Text(complaint)).build()?]);
        };
        let mut second = Message::builder().role(ConversationRole::User);
        let tool_uses = reply.content().iter().filter_map(|block| block.as_tool_use().ok());
        let mut has_result = false;
        for tool_use in tool_uses {
            has_result = true;
            let has_status = find_family(model_id).has_error_status;
            let result = ToolResultBlock::builder()
                .tool_use_id(tool_use.tool_use_id())
                .content(ToolResultContentBlock::Text(complaint.clone()))
                .set_status(has_status.then_some(ToolResultStatus::Error));
            second = second.content(ContentBlock::ToolResult(result.build()?));
        }
        if !has_result {
            second = second.content(ContentBlock::Text(complaint));
        }
        Ok(vec![first.build()?, reply.clone(), second.build()?])
    }
}

pub(super) type Built<T> = Result<T, BuildError>;

/// The tool and the tool choice of a form; `None` for a form without a tool.
pub(super) fn tool_config(analysis: &Analysis, form: AnswerForm) -> Built<Option<ToolConfiguration>> {
    let choice = match form {
        AnswerForm::Tool => ToolChoice::Tool(SpecificToolChoice::builder().name(TOOL_NAME).build()?),
        AnswerForm::AnyTool => ToolChoice::Any(AnyToolChoice::builder().build()),
        AnswerForm::AutoTool => ToolChoice::Auto(AutoToolChoice::builder().build()),
        AnswerForm::JsonSchema | AnswerForm::Text => return Ok(None),
    };
    let tool = ToolSpecification::builder()
        .name(TOOL_NAME)
        .description("Records the analysis of the document.")
        .input_schema(ToolInputSchema::Json(to_document(analysis.answer_schema())))
        .build()?;
    Ok(Some(ToolConfiguration::builder().tools(Tool::ToolSpec(tool)).tool_choice(choice).build()?))
}

/// The configuration of structured outputs; `None` for other forms.
pub(super) fn output_config(analysis: &Analysis, form: AnswerForm) -> Built<Option<OutputConfig>> {
    let Some(schema) = analysis.strict_schema().filter(|_| form == AnswerForm::JsonSchema) else { return Ok(None) };
    let schema = JsonSchemaDefinition::builder().name(TOOL_NAME).schema(schema.to_string()).build()?;
    let format = OutputFormat::builder()
        .r#type(OutputFormatType::JsonSchema)
        .structure(OutputFormatStructure::JsonSchema(schema))
        .build()?;
    Ok(Some(OutputConfig::builder().text_format(format).build()))
}

/// The additional fields of a request. Nova's tool use gets `topK` 1, unless the fields
/// set it or Nova's reasoning, which excludes it.
///
/// <https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html>
pub(super) fn request_fields(own: Option<&Value>, model_id: &str, form: AnswerForm) -> Option<SdkDocument> {
    let mut fields = own.cloned();
    if find_family(model_id).needs_top_k && form.has_tool() {
        let all = fields.get_or_insert_with(|| json!({}));
        if all.get("reasoningConfig").is_none()
            && all.get("inferenceConfig").is_none_or(|config| config.is_object() && config.get("topK").is_none())
        {
            all["inferenceConfig"]["topK"] = json!(1);
        }
    }
    fields.as_ref().map(to_document)
}

fn block(content: Content) -> Built<ContentBlock> {
    let document = |format, bytes| {
        let source = DocumentSource::Bytes(Blob::new(bytes));
        DocumentBlock::builder().name(DOCUMENT_NAME).format(format).source(source).build().map(ContentBlock::Document)
    };
    match content {
        Content::Text { format, text } => document(text_format(format), text.into_bytes()),
        Content::File { format, bytes } => document(file_format(format), bytes),
        Content::Image { format, bytes } => {
            let source = ImageSource::Bytes(Blob::new(bytes));
            ImageBlock::builder().format(image_format(format)).source(source).build().map(ContentBlock::Image)
        }
    }
}

fn text_format(format: TextFormat) -> DocumentFormat {
    match format {
        TextFormat::Txt => DocumentFormat::Txt,
        TextFormat::Md => DocumentFormat::Md,
        TextFormat::Html => DocumentFormat::Html,
        TextFormat::Csv => DocumentFormat::Csv,
    }
}

fn file_format(format: FileFormat) -> DocumentFormat {
    match format {
        FileFormat::Pdf => DocumentFormat::Pdf,
        FileFormat::Doc => DocumentFormat::Doc,
        FileFormat::Docx => DocumentFormat::Docx,
        FileFormat::Xls => DocumentFormat::Xls,
        FileFormat::Xlsx => DocumentFormat::Xlsx,
    }
}

fn image_format(format: ImageFormat) -> Picture {
    match format {
        ImageFormat::Png => Picture::Png,
        ImageFormat::Jpeg => Picture::Jpeg,
        ImageFormat::Gif => Picture::Gif,
        ImageFormat::Webp => Picture::Webp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::json::from_document;

    #[test]
    fn nova_tool_use_has_top_k_unless_the_fields_set_it() {
        let fields = |own: Option<Value>, model_id, form| {
            request_fields(own.as_ref(), model_id, form).as_ref().map(from_document)
        };
        let (nova, top_k) = ("eu.amazon.nova-lite-v1:0", Some(json!({"inferenceConfig": {"topK": 1}})));
        assert_eq!(fields(None, nova, AnswerForm::Tool), top_k);
        assert_eq!(fields(None, nova, AnswerForm::Text), None);
        assert_eq!(fields(None, "meta.llama3-1-8b", AnswerForm::AutoTool), None);
        let own = json!({"inferenceConfig": {"topK": 20}});
        assert_eq!(fields(Some(own.clone()), nova, AnswerForm::Tool), Some(own));
        let reasoning = json!({"reasoningConfig": {"type": "enabled"}});
        assert_eq!(fields(Some(reasoning.clone()), nova, AnswerForm::Tool), Some(reasoning));
        let both = json!({"inferenceConfig": {"stop": [], "topK": 1}, "x": 1});
        let own = json!({"inferenceConfig": {"stop": []}, "x": 1});
        assert_eq!(fields(Some(own), nova, AnswerForm::AnyTool), Some(both));
    }
}
