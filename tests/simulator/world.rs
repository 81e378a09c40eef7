//! A simulator on a free port, and a client that talks to it.

use paraplanner::clock::Clock;
use paraplanner::simulator::{Simulator, World};
use tokio::net::TcpListener;

pub struct Stage {
    pub simulator: Simulator,
    pub http: reqwest::Client,
}

impl Stage {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            simulator: Simulator::start(listener, Clock::default()).unwrap(),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
        }
    }

    pub const fn world(&self) -> &World {
        self.simulator.world()
    }

    /// An address of the simulated world; `path` begins with a slash.
    pub fn at(&self, path: &str) -> String {
        self.world().url().join(path).unwrap().to_string()
    }
}
