/** Tells Monaco where its workers are: our own files, so that `worker-src 'self'` is enough. */

window.MonacoEnvironment = {
  getWorker(_id, label) {
    const name = label === "json" || label === "graphql" ? label : "editor";
    return new Worker(new URL(`/graphiql/${name}.worker.js`, location.href), { name: label });
  },
};
