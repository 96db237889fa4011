//! M2's REST API ("picasso"): eight routes with form-encoded fields, HTTP Basic credentials and
//! answers of plain text, as of M2's last release (commit 5b93852).

use std::borrow::Cow;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::form::Form;
use super::m2::User;
use super::{Api, Credential};
use crate::control::Control;
use crate::control::api::problem::Problem;

/// Forms are short; a longer one is not read.
const FORM_BYTES_MAX: usize = 16 << 10;
/// How long a client may take to send one.
const FORM_PATIENCE: Duration = Duration::from_secs(10);
/// What tokens begin with.
const TOKEN_PREFIX: &str = "stirrup_";
/// What M2 refuses in any field.
const FORBIDDEN: &str = ";<>&|'";

/// The commands of M2.
#[derive(Debug, Clone, Copy)]
enum Command {
    ListImages,
    CreateDisk,
    DeleteDisk,
    Provision,
    Deprovision,
    CreateSnapshot,
    ListSnapshots,
    RemoveImage,
}

use Command::{
    CreateDisk, CreateSnapshot, DeleteDisk, Deprovision, ListImages, ListSnapshots, Provision,
    RemoveImage,
};

/// Path without the slash at its end, method, command, fields besides `project`.
type Route = (&'static str, Method, Command, &'static [&'static str]);

const ROUTES: &[Route] = &[
    ("/list_images", Method::POST, ListImages, &[]),
    ("/create_disk", Method::PUT, CreateDisk, &["disk_name", "img"]),
    ("/delete_disk", Method::DELETE, DeleteDisk, &["disk_name"]),
    ("/provision", Method::PUT, Provision, &["node", "disk_name", "nic"]),
    ("/deprovision", Method::DELETE, Deprovision, &["node", "nic"]),
    ("/create_snapshot", Method::PUT, CreateSnapshot, &["disk_name", "snap_name"]),
    ("/list_snapshots", Method::POST, ListSnapshots, &[]),
    ("/remove_image", Method::DELETE, RemoveImage, &["img"]),
];

/// An answer: Flask makes HTML of any text.
type Text = (StatusCode, Cow<'static, str>);

/// The door, over the API of `control`.
pub fn router(control: Control) -> Router {
    let api = Api::new(super::super::api::router(control));
    let mut router = Router::new();
    for (path, method, command, fields) in ROUTES {
        let handler = async move |State(api): State<Api>, request: Request| {
            answer(&api, *command, fields, request).await
        };
        let handler: MethodRouter<Api> = match *method {
            Method::POST => post(handler),
            Method::PUT => put(handler),
            _ => delete(handler),
        };
        let handler = handler.fallback(async || html(StatusCode::METHOD_NOT_ALLOWED));
        // M2 has it with the slash for some, its documentation for all, and its clients do both.
        router = router.route(path, handler.clone()).route(&format!("{path}/"), handler);
    }
    router
        .fallback(async || html(StatusCode::NOT_FOUND))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(api)
}

async fn answer(api: &Api, command: Command, fields: &[&str], request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // A page of somebody else's in the browser of who has logged in here. No client of M2's says so.
    if parts.headers.contains_key(header::ORIGIN) {
        return html(StatusCode::FORBIDDEN);
    }
    let connection = Credential::of_connection(&parts.extensions);
    let credential = match credential(&parts.headers, connection) {
        Ok(credential) => credential,
        Err(text) => return render(text),
    };
    let Some(form) = read(&parts.headers, body).await else { return html(StatusCode::BAD_REQUEST) };
    let values: Option<Vec<&str>> = fields.iter().map(|name| form.get(name)).collect();
    let (Some(project), Some(values)) = (form.get("project"), values) else {
        return html(StatusCode::BAD_REQUEST);
    };
    let is_refused = |value: &str| value.contains(|c| FORBIDDEN.contains(c));
    if is_refused(project) || values.iter().any(|value| is_refused(value)) {
        return html(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let user = User::new(api, &credential, project);
    let done = match user.check_project().await {
        Ok(()) => run(&user, command, &values).await,
        Err(problem) => Err((problem, project)),
    };
    render(done.unwrap_or_else(|(problem, subject)| escaped(error(&problem, subject))))
}

/// M2's users show a name and a password of HIL, which HIL is asked about if that is configured. The
/// password can also be a token; the name is nothing then.
fn credential(headers: &HeaderMap, connection: Credential) -> Result<Credential, Text> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err((StatusCode::BAD_REQUEST, "No Authentication Details Given".into()));
    };
    let refused = || (StatusCode::UNAUTHORIZED, "Authentication Failed".into());
    let decoded = value.to_str().ok().and_then(|value| {
        let encoded = value.split(' ').nth(1)?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    });
    let decoded = decoded.ok_or_else(refused)?;
    let (_, password) = decoded.split_once(':').ok_or_else(refused)?;
    let shown = match password.starts_with(TOKEN_PREFIX) {
        true => format!("Bearer {password}"),
        // As it would be read by M2, whatever it was called.
        false => format!("Basic {}", STANDARD.encode(&decoded)),
    };
    let mut shown = HeaderValue::from_str(&shown).map_err(|_| refused())?;
    shown.set_sensitive(true);
    Ok(Credential { authorization: Some(shown), ..connection })
}

async fn read(headers: &HeaderMap, body: Body) -> Option<Form> {
    let bytes = axum::body::to_bytes(body, FORM_BYTES_MAX);
    let bytes = tokio::time::timeout(FORM_PATIENCE, bytes).await.ok()?.ok()?;
    // Anything else has no fields, to Flask.
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_form =
        kind.is_some_and(|kind| kind.trim_start().starts_with("application/x-www-form-urlencoded"));
    Some(if is_form { Form::parse(&bytes) } else { Form::default() })
}

/// Runs a command; of a failure, what the error is said about.
async fn run<'v>(
    user: &User<'_>,
    command: Command,
    values: &[&'v str],
) -> Result<Text, (Problem, &'v str)> {
    let about = |subject: &'v str| move |problem: Problem| (problem, subject);
    let success = |()| (StatusCode::OK, Cow::Borrowed("Success"));
    match (command, values) {
        (ListImages, _) => {
            let images = user.images().await.map_err(about(""))?;
            let names: Vec<String> = images.iter().map(|name| quoted(name)).collect();
            Ok(json(format!("[{}]", names.join(", "))))
        }
        (ListSnapshots, _) => {
            let snapshots = user.snapshots().await.map_err(about(""))?;
            let pair = |(name, parent): &(String, String)| {
                format!("[{}, {}]", quoted(name), quoted(parent))
            };
            let pairs: Vec<String> = snapshots.iter().map(pair).collect();
            Ok(json(format!("[{}]", pairs.join(", "))))
        }
        (CreateDisk, [disk, image]) => {
            let made = user.create_disk(disk, image).await.map_err(about(image))?;
            let target = made.boot.iqn;
            if made.existed == Some(true) {
                let text = format!("Disk exists. Endpoint:{target}");
                return Ok((StatusCode::CONFLICT, text.into()));
            }
            Ok(json(quoted(&target)))
        }
        (DeleteDisk, [disk]) => user.delete_disk(disk).await.map(success).map_err(about(disk)),
        (Provision, [node, disk, nic]) => {
            user.provision(node, disk, nic).await.map(success).map_err(about(disk))
        }
        (Deprovision, [node, _]) => user.unbind(node).await.map(success).map_err(about(node)),
        (CreateSnapshot, [disk, name]) => {
            user.create_snapshot(disk, name).await.map(success).map_err(about(disk))
        }
        (RemoveImage, [image]) => user.remove_image(image).await.map(success).map_err(about(image)),
        // The table of routes gives each command its fields.
        _ => Ok((StatusCode::INTERNAL_SERVER_ERROR, "".into())),
    }
}

fn json(text: String) -> Text {
    (StatusCode::OK, text.into())
}

/// As Python's `json.dumps`. Names of ours are ASCII.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An error in M2's words, with M2's code.
fn error(problem: &Problem, subject: &str) -> Text {
    let server = StatusCode::INTERNAL_SERVER_ERROR;
    match problem.code.as_str() {
        "not-authorized" => (StatusCode::UNAUTHORIZED, "Authentication Failed".into()),
        "forbidden" => (StatusCode::FORBIDDEN, "Authorization Failed".into()),
        code if code.ends_with("-not-found") => {
            (StatusCode::NOT_FOUND, format!("{subject} not found").into())
        }
        "image-in-use" => (server, format!("{subject} is Busy (Could have Clones)").into()),
        "image-exists" => (server, format!("ORM related error = {}", problem.detail).into()),
        "node-bound" | "disk-bound" => (StatusCode::CONFLICT, problem.detail.clone().into()),
        _ => (server, problem.detail.clone().into()),
    }
}

/// What is said of what came with the request, without what would be markup: it is called HTML.
fn escaped((status, text): Text) -> Text {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    (status, text.into())
}

/// What Flask's library (Werkzeug, as of M2's time) answers by itself.
fn html(status: StatusCode) -> Response {
    let text = match status {
        StatusCode::BAD_REQUEST => {
            "The browser (or proxy) sent a request that this server could not understand."
        }
        StatusCode::NOT_FOUND => {
            "The requested URL was not found on the server.  If you entered the URL manually please \
             check your spelling and try again."
        }
        StatusCode::FORBIDDEN => {
            "You don't have the permission to access the requested resource. It is either \
             read-protected or not readable by the server."
        }
        StatusCode::METHOD_NOT_ALLOWED => "The method is not allowed for the requested URL.",
        _ => {
            "The server encountered an internal error and was unable to complete your request.  \
             Either the server is overloaded or there is an error in the application."
        }
    };
    let (code, name) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    render((
        status,
        format!(
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<title>{code} {name}</title>\
             \n<h1>{name}</h1>\n<p>{text}</p>\n"
        )
        .into(),
    ))
}

fn render((status, text): Text) -> Response {
    let kind = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, kind, text.into_owned()).into_response()
}
