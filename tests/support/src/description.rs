//! `openapi.yaml`, and whether an answer is as it says.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::read;

/// The API's description.
pub struct Description(pub Value);

impl Description {
    pub fn new() -> Self {
        Self(serde_saphyr::from_str(&read("openapi.yaml")).expect("openapi.yaml is YAML"))
    }

    /// What stands at a JSON pointer; it must be there.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or_else(|| panic!("openapi.yaml has no {pointer}"))
    }

    /// What a `$ref` of the document names, or the value itself.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.at(reference.trim_start_matches('#')),
            None => value,
        }
    }

    /// Every operation: method, path and what stands there.
    pub fn operations(&self) -> Vec<(String, String, &Value)> {
        let paths = self.at("/paths").as_object().expect("paths").iter();
        paths
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("a path").iter().filter(|(name, _)| *name != "parameters");
                methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
            })
            .collect()
    }

    /// `POST /jobs` and so on.
    pub fn routes(&self) -> BTreeSet<String> {
        self.operations().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }

    /// Why a value does not fit a schema of the document; nothing when it does.
    pub fn misfits(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut whole = schema.as_object().expect("a schema").clone();
        whole.insert("components".to_owned(), self.at("/components").clone());
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&Value::Object(whole))
            .unwrap_or_else(|error| panic!("{schema} is no JSON Schema: {error}"));
        validator.iter_errors(value).map(|error| format!("{error} at `{}`", error.instance_path())).collect()
    }

    /// Panics unless an answer is one that the description tells of.
    pub fn check(&self, route: &str, status: u16, headers: &HashMap<String, String>, text: &str) {
        let what = format!("{route} {status}: {text}");
        let operations = self.operations();
        let operation = operations.iter().find(|(method, path, _)| route == format!("{method} {path}"));
        let (_, _, operation) = operation.unwrap_or_else(|| panic!("{route} is not described"));
        let answer = operation["responses"].get(status.to_string());
        let answer = self.resolve(answer.unwrap_or_else(|| panic!("{what} has a status that is not described")));
        for (name, header) in answer["headers"].as_object().into_iter().flatten() {
            let header = self.resolve(header);
            match headers.get(name) {
                Some(value) => assert_eq!(self.misfits(&header["schema"], &json!(value)), [""; 0], "{what}: {name}"),
                None => assert_ne!(header["required"], true, "{what}: without {name}"),
            }
        }
        let essence = headers["content-type"].split(';').next().unwrap_or_default();
        let described =
            answer["content"].get(essence).unwrap_or_else(|| panic!("{what} is {essence}, as not described"));
        let body = match essence {
            "text/csv" => json!(text),
            "application/jsonl" => text.lines().map(parsed).collect(),
            _ => parsed(text),
        };
        assert_eq!(self.misfits(&described["schema"], &body), [""; 0], "{what}");
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
