//! Steering the simulated model from outside, below `/sim/model`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::Switches;
use super::script::Turn;
use crate::http::Json;
use crate::simulator::World;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/sim/model/turns", post(add_turn).get(left).delete(clear))
        .route("/sim/model/requests", get(requests))
        .route("/sim/model/switches", get(switches).put(switch))
}

async fn add_turn(State(world): State<World>, Json(turn): Json<Turn>) -> StatusCode {
    world.model().script(turn);
    StatusCode::NO_CONTENT
}

async fn left(State(world): State<World>) -> Json<Value> {
    Json(json!({"left": world.model().turns_left()}))
}

async fn clear(State(world): State<World>) -> StatusCode {
    world.model().clear_script();
    StatusCode::NO_CONTENT
}

async fn requests(State(world): State<World>) -> Json<Value> {
    Json(json!(world.model().requests()))
}

async fn switches(State(world): State<World>) -> Json<Switches> {
    Json(world.model().switches())
}

async fn switch(State(world): State<World>, Json(switches): Json<Switches>) -> StatusCode {
    world.model().switch(switches);
    StatusCode::NO_CONTENT
}
