/** Sets where Monaco finds its workers: files of this origin, which `worker-src 'self'` allows. */

window.MonacoEnvironment = {
  getWorker(_id, label) {
    const name = label === "json" || label === "graphql" ? label : "editor";
    return new Worker(new URL(`/graphiql/${name}.worker.js`, location.href), { name: label });
  },
};
