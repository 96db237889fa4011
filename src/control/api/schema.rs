//! What the description of the API says of names beside their type: who makes calls from it (a
//! generated client, a fuzzer) knows them before the daemon refuses them.

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

/// [`Name::project`](crate::catalog::Name::project).
const PROJECT: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// [`Name::disk`](crate::catalog::Name::disk) and the like.
const NAME: &str = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$";
/// [`ImageName::new`](crate::catalog::ImageName::new) and tags.
const IMAGE: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
/// [`DiskSpec::of_image`](crate::catalog::DiskSpec::of_image).
const IMAGE_AT_TAG: &str = "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}(@[A-Za-z0-9][A-Za-z0-9._-]{0,127})?$";

/// The names in paths and queries.
const PARAMETERS: [(&str, &str); 6] = [
    ("project", PROJECT),
    ("disk", NAME),
    ("node", NAME),
    ("token", NAME),
    ("image", IMAGE),
    ("tag", IMAGE),
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
        for operations in paths.values_mut().filter_map(Value::as_object_mut) {
            operations.values_mut().for_each(parameters);
        }
    }
    if let Some(schemas) = value["components"]["schemas"].as_object_mut() {
        properties(schemas);
    }
    numbers(&mut value);
    serde_json::from_value(value).unwrap_or(description)
}

fn parameters(operation: &mut Value) {
    let Some(list) = operation["parameters"].as_array_mut() else { return };
    for parameter in list {
        let found = PARAMETERS.iter().find(|(name, _)| parameter["name"] == *name);
        if let Some((_, pattern)) = found {
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
        for (name, pattern) in PARAMETERS {
            assert!(text.contains(&format!("\"name\":\"{name}\"")), "{name}");
            assert!(text.contains(&serde_json::to_string(pattern).unwrap()), "{pattern}");
        }
    }
}
