//! Starting, accepting and stopping.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::app::{App, router};
use crate::metrics::Metrics;
use crate::model::Served;
use crate::worker::Worker;
use crate::{Config, Error, Model, Result};

/// Connections for each request that may be worked on. Those beyond wait to be accepted.
const CONNECTIONS: usize = 8;

/// A server that runs on threads of its own until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Sent or dropped, it stops the server.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the address and starts to answer.
    ///
    /// # Errors
    /// If a number of the configuration is zero or the token empty, there is no model or two have one name, the address can't be had,
    /// or no thread.
    pub fn start(models: Vec<Model>, config: &Config) -> Result<Self> {
        check(&models, config)?;
        let bind = |source| Error::Bind { address: config.address, source };
        let listener = TcpListener::bind(config.address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let metrics = Arc::<Metrics>::default();
        let workers = Workers::start(models, &metrics, config)?;
        let app = Arc::new(App::new(workers.models.clone(), metrics, config));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(threads).build();
        let runtime = runtime.map_err(Error::Threads)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("c2f-serve".to_owned());
        let thread = thread.spawn(move || run(&runtime, listener, &app, stopped, &workers)).map_err(Error::Threads)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it still answers: it ends by itself only if something in it breaks.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Accepts no more connections, finishes the requests that have begun, and returns when that is done, or twice the
    /// timeout has passed.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // The thread may have ended already, or panicked, which it has said.
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn check(models: &[Model], config: &Config) -> Result<()> {
    if models.is_empty() {
        return Err(Error::NoModels);
    }
    if let Some(model) = models.iter().enumerate().find(|(i, a)| models[..*i].iter().any(|b| a.name == b.name)) {
        return Err(Error::SameName(model.1.name.clone()));
    }
    let numbers = [
        ("max_body", config.max_body),
        ("max_requests", config.max_requests),
        ("queue", config.queue),
        ("max_batch", config.max_batch),
    ];
    for (field, value) in numbers {
        if value == 0 {
            return Err(Error::Config { field, value: value.to_string(), expected: "at least 1" });
        }
    }
    if config.max_requests > Semaphore::MAX_PERMITS / CONNECTIONS {
        let value = config.max_requests.to_string();
        return Err(Error::Config { field: "max_requests", value, expected: "less" });
    }
    if config.timeout.is_zero() {
        return Err(Error::Config { field: "timeout", value: "0".to_owned(), expected: "more than that" });
    }
    if config.token.as_deref().is_some_and(|token| token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic())) {
        let value = "empty, or has characters that no header can have".to_owned();
        return Err(Error::Config { field: "the token", value, expected: "letters, digits and signs of ASCII" });
    }
    Ok(())
}

/// The threads that own the networks. Dropped, they end when their queues are empty.
struct Workers {
    models: Vec<Arc<Served>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(models: Vec<Model>, metrics: &Arc<Metrics>, config: &Config) -> Result<Self> {
        let mut workers = Self { models: Vec::new(), threads: Vec::new() };
        for model in models {
            let served = Arc::new(Served::new(&model, config.queue));
            let worker = Worker {
                name: model.name,
                network: model.network,
                queue: Arc::clone(&served.queue),
                metrics: Arc::clone(metrics),
                max_batch: config.max_batch,
                gather: config.gather,
            };
            let thread = std::thread::Builder::new().name("c2f-network".to_owned()).spawn(|| worker.run());
            workers.models.push(served);
            workers.threads.push(thread.map_err(Error::Threads)?);
        }
        Ok(workers)
    }

    /// Waits for nothing that may still come.
    fn hurry(&self) {
        self.models.iter().for_each(|model| model.queue.hurry());
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.models.iter().for_each(|model| model.queue.close());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run(runtime: &Runtime, listener: TcpListener, app: &Arc<App>, stopped: oneshot::Receiver<()>, workers: &Workers) {
    runtime.block_on(async {
        let connections = Arc::new(GracefulShutdown::new());
        let watch = Arc::clone(&connections);
        let accept = accept(listener, router(Arc::clone(app)), watch, app.timeout, app.max_requests);
        let accepting = tokio::spawn(accept);
        let _ = stopped.await;
        // With it the listener goes: the system refuses new connections.
        accepting.abort();
        let _ = accepting.await;
        workers.hurry();
        // Nobody else has them any longer.
        if let Some(connections) = Arc::into_inner(connections) {
            // A body has the timeout to come, and an answer has it.
            if timeout(app.timeout * 2, connections.shutdown()).await.is_err() {
                tracing::warn!("some requests were not done in time, and get no answer");
            }
        }
    });
}

async fn accept(
    listener: TcpListener,
    router: Router,
    watch: Arc<GracefulShutdown>,
    head_timeout: Duration,
    requests: usize,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the server can't listen: {error}"),
    };
    let connections = Arc::new(Semaphore::new(requests * CONNECTIONS));
    let service = TowerToHyperService::new(router);
    // It is never closed.
    while let Ok(connection) = Arc::clone(&connections).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Such as that there are no more file handles: somebody has to close one first.
                tracing::warn!("a connection can't be accepted: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // It only makes short answers quicker.
        let _ = stream.set_nodelay(true);
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .serve_connection(TokioIo::new(stream), service.clone());
        let serving = watch.watch(serving);
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(connection);
        });
    }
}
