//! `openapi.yaml`, and the comparison of responses with it.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::read;

/// The parsed `openapi.yaml`.
pub struct Description(pub Value);

impl Description {
    /// Reads `openapi.yaml`.
    pub fn read() -> Self {
        Self(serde_saphyr::from_str(&read("openapi.yaml")).expect("openapi.yaml is YAML"))
    }

    /// The value at a JSON pointer.
    ///
    /// # Panics
    /// If the pointer names no value.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or_else(|| panic!("openapi.yaml has no {pointer}"))
    }

    /// The value that a `$ref` names, or `value` itself if it is no reference.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.at(reference.trim_start_matches('#')),
            None => value,
        }
    }

    /// Every operation: method in upper case, path, and description.
    pub fn operations(&self) -> Vec<(String, String, &Value)> {
        let paths = self.at("/paths").as_object().expect("paths").iter();
        paths
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("a path").iter().filter(|(name, _)| *name != "parameters");
                methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
            })
            .collect()
    }

    /// All routes, such as `POST /jobs`.
    pub fn routes(&self) -> BTreeSet<String> {
        self.operations().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }

    /// The errors of `value` against a schema of the description; empty if it is valid.
    pub fn schema_errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut standalone = schema.as_object().expect("a schema").clone();
        standalone.insert("components".to_owned(), self.at("/components").clone());
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&Value::Object(standalone))
            .unwrap_or_else(|error| panic!("{schema} is not a JSON Schema: {error}"));
        validator.iter_errors(value).map(|error| format!("{error} at `{}`", error.instance_path())).collect()
    }

    /// Checks that a response agrees with the description: status, headers, content type
    /// and body.
    ///
    /// # Panics
    /// If the response differs from the description.
    pub fn check(&self, route: &str, status: u16, headers: &HashMap<String, String>, text: &str) {
        let shown = format!("{route} {status}: {text}");
        let operations = self.operations();
        let operation = operations.iter().find(|(method, path, _)| route == format!("{method} {path}"));
        let (_, _, operation) = operation.unwrap_or_else(|| panic!("{route} is not described"));
        let response = operation["responses"].get(status.to_string());
        let response = self.resolve(response.unwrap_or_else(|| panic!("{shown} has an undescribed status")));
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let header = self.resolve(header);
            match headers.get(name) {
                Some(value) => {
                    assert_eq!(self.schema_errors(&header["schema"], &json!(value)), [""; 0], "{shown}: {name}")
                }
                None => assert_ne!(header["required"], true, "{shown} lacks the header {name}"),
            }
        }
        let essence = headers["content-type"].split(';').next().unwrap_or_default();
        let described =
            response["content"].get(essence).unwrap_or_else(|| panic!("{shown} has an undescribed type: {essence}"));
        let body = match essence {
            "text/csv" => json!(text),
            "application/jsonl" => text.lines().map(parse_json).collect(),
            _ => parse_json(text),
        };
        assert_eq!(self.schema_errors(&described["schema"], &body), [""; 0], "{shown}");
    }
}

fn parse_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
