//! What the description of the API has of every call alike: the names in its path, its problems, its
//! id. And what it says of names beside their type: who makes calls from it (a generated client, a
//! fuzzer) knows them before the daemon refuses them.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

/// [`Name::project`](crate::catalog::Name::project).
const PROJECT: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// [`Name::disk`](crate::catalog::Name::disk) and the like.
const NAME: &str = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$";
/// [`ImageName::new`](crate::catalog::ImageName::new) and tags.
const IMAGE: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
/// [`DiskSpec::of_image`](crate::catalog::DiskSpec::of_image).
const IMAGE_AT_TAG: &str = "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}(@[A-Za-z0-9][A-Za-z0-9._-]{0,127})?$";

/// The daemon says what is wrong with it, if anything.
const ANY: &str = "";

/// The names in paths and queries, and what they are.
const PARAMETERS: [(&str, &str, &str); 8] = [
    ("project", PROJECT, "Project"),
    ("disk", NAME, "Name of the disk"),
    ("node", NAME, "Name of the node"),
    ("token", NAME, "Name of the token"),
    ("certificate", ANY, "The name in it"),
    ("image", IMAGE, "Name of the image"),
    ("tag", IMAGE, "Name of the tag"),
    ("name", ANY, "Name of the target"),
];

/// The names in bodies.
const PROPERTIES: [(&str, &str, &str); 16] = [
    ("Bind", "disk", NAME),
    ("DefaultTag", "tag", IMAGE),
    ("DiskCreate", "image", IMAGE_AT_TAG),
    ("DiskRollback", "tag", IMAGE),
    ("ImageCopy", "name", IMAGE),
    ("ImageCopy", "project", PROJECT),
    ("ImageCopy", "store", NAME),
    ("ImageCopy", "tag", IMAGE),
    ("ImageImport", "name", IMAGE),
    ("ImageImport", "store", NAME),
    ("ImageRename", "name", IMAGE),
    ("ImageRename", "project", PROJECT),
    ("ProjectPut", "image", IMAGE_AT_TAG),
    ("Provision", "image", IMAGE_AT_TAG),
    ("TokenCreate", "project", PROJECT),
    ("TokenCreate", "role", "^(admin|operator|reader)$"),
];

/// The description with what its types do not say.
pub(super) fn complete(description: OpenApi) -> OpenApi {
    let Ok(mut value) = serde_json::to_value(&description) else { return description };
    if let Some(paths) = value["paths"].as_object_mut() {
        for (path, operations) in paths {
            for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
                path_parameters(path, operation);
                patterns(operation);
                operation["responses"]["default"] = problem();
                identify(operation);
            }
        }
    }
    if let Some(schemas) = value["components"]["schemas"].as_object_mut() {
        properties(schemas);
    }
    numbers(&mut value);
    serde_json::from_value(value).unwrap_or(description)
}

fn problem() -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    json!({"description": "A problem", "content": {"application/problem+json": {"schema": schema}}})
}

/// An id must be a call's own (OpenAPI 3.1, section 4.8.10.1): handlers of different nouns have the
/// same name.
fn identify(operation: &mut Value) {
    if let (Some(tag), Some(id)) =
        (operation["tags"][0].as_str(), operation["operationId"].as_str())
    {
        operation["operationId"] = format!("{tag}_{id}").into();
    }
}

/// Puts the names in a path before what its handler says of its query.
fn path_parameters(path: &str, operation: &mut Value) {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = names
        .filter_map(|wanted| PARAMETERS.iter().find(|(name, ..)| *name == wanted))
        .map(|(name, _, description)| {
            json!({"name": name, "in": "path", "required": true, "description": description,
                   "schema": {"type": "string"}})
        })
        .collect();
    if let Some(others) = operation["parameters"].as_array_mut() {
        // Where a handler takes a path's one name apart, it is there already, without a word on it.
        others.retain(|other| all.iter().all(|known| known["name"] != other["name"]));
        all.append(others);
    }
    if !all.is_empty() {
        operation["parameters"] = all.into();
    }
}

fn patterns(operation: &mut Value) {
    let Some(list) = operation["parameters"].as_array_mut() else { return };
    for parameter in list {
        let found = PARAMETERS.iter().find(|(name, ..)| parameter["name"] == *name);
        if let Some((_, pattern, _)) = found.filter(|(_, pattern, _)| !pattern.is_empty()) {
            parameter["schema"]["pattern"] = (*pattern).into();
        }
    }
}

fn properties(schemas: &mut Map<String, Value>) {
    for (schema, property, pattern) in PROPERTIES {
        if let Some(property) =
            schemas.get_mut(schema).and_then(|schema| schema["properties"].get_mut(property))
        {
            property["pattern"] = pattern.into();
        }
    }
}

/// A `u64` is no int64 that happens to be positive.
fn numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("format").is_some_and(|format| format == "int64")
                && fields.get("minimum").is_some_and(|minimum| minimum.as_u64() == Some(0))
            {
                fields.insert("format".to_owned(), "uint64".into());
                fields.insert("maximum".to_owned(), u64::MAX.into());
            }
            fields.values_mut().for_each(numbers);
        }
        Value::Array(items) => items.iter_mut().for_each(numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the tables that the description does not have do nothing, silently.
    #[test]
    fn every_row_has_its_place() {
        let description = serde_json::to_value(super::super::openapi()).unwrap();
        for (schema, property, pattern) in PROPERTIES {
            let found = &description["components"]["schemas"][schema]["properties"][property];
            assert_eq!(found["pattern"], pattern, "{schema}.{property}");
        }
        let text = description["paths"].to_string();
        for (name, pattern, _) in PARAMETERS {
            assert!(text.contains(&format!("\"name\":\"{name}\"")), "{name}");
            let is_there = text.contains(&serde_json::to_string(pattern).unwrap());
            assert!(is_there || pattern == ANY, "{pattern}");
        }
    }

    #[test]
    fn every_call_has_an_id_of_its_own_and_says_all_of_its_path() {
        let description = serde_json::to_value(super::super::openapi()).unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for (path, operations) in description["paths"].as_object().unwrap() {
            for operation in operations.as_object().unwrap().values() {
                assert!(ids.insert(operation["operationId"].to_string()), "{operation}");
                let said = operation["parameters"].as_array().into_iter().flatten();
                let said = said.filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(said, path.matches('{').count(), "{path}: {operation}");
            }
        }
    }
}
