//! How many sealed tokens are opened and sealed in a second by one core: `cargo bench --bench seal`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use paraplanner::secret::{Keyring, Place, Secret};
use uuid::Uuid;

const FOR: Duration = Duration::from_secs(2);

fn rate(what: &str, mut work: impl FnMut()) {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < FOR {
        for _ in 0..100 {
            work();
        }
        count += 100;
    }
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    println!("{what}: {rate:.0} a second");
}

fn main() {
    let keys = Keyring::new(
        &[],
        &Secret::new("a key of at least thirty-two bytes".to_owned()),
    );
    let place = Place {
        table: "connections",
        column: "access_token",
        owner: Uuid::from_u128(7),
        provider: "hubspot",
    };
    // HubSpot's access tokens are the longest.
    let token = Secret::new("x".repeat(512));
    let sealed = keys.seal(place, &token);
    rate("opened", || {
        black_box(
            keys.open(place, black_box(&sealed))
                .expect("it was sealed so"),
        );
    });
    rate("sealed", || {
        black_box(keys.seal(place, black_box(&token)));
    });
}
