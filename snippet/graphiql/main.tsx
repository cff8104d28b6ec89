/** GraphiQL, served whole from here: its editor, workers, fonts and examples. */
import "./workers";
import "graphiql/style.css";
import "./main.css";
import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { type DocumentNode, Kind, type OperationDefinitionNode, parse } from "graphql";
import { createClient } from "graphql-ws";
import { createRoot } from "react-dom/client";
import { examples } from "./examples";
import { connectionParams, fillHeaders, fillVariables, remember } from "./memory";

const url = new URL("/graphql", location.href).href;

const fetcher: Fetcher = (request, options) => {
  const documentAST = parse(request.query);
  const operation = pick(documentAST, request.operationName);
  const variables = declared(operation, fillVariables(request.variables ?? {}));
  const headers = fillHeaders(options?.headers ?? {}, variables);
  const send = createGraphiQLFetcher({
    url,
    enableIncrementalDelivery: false,
    fetch: rememberingFetch,
    // Connects when a subscription starts, with the credentials of its tab.
    wsClient: createClient({
      url: url.replace(/^http/, "ws"),
      connectionParams: connectionParams(headers),
    }),
  });
  const operationName = operation?.name?.value ?? null;
  return send({ ...request, operationName, variables }, { ...options, documentAST, headers });
};

/** GraphiQL's own reading lags behind: who runs a tab just opened would run the last one's name. */
function pick({ definitions }: DocumentNode, name: string | null | undefined) {
  const operations = definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION);
  return operations.find((one) => one.name?.value === name) ?? operations[0];
}

/** The variables this operation takes: two of one tab share an editor. */
function declared(operation: OperationDefinitionNode | undefined, variables: object) {
  const names = operation?.variableDefinitions?.map((one) => one.variable.name.value) ?? [];
  return Object.fromEntries(Object.entries(variables).filter(([name]) => names.includes(name)));
}

async function rememberingFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const answer = await fetch(input, init);
  remember(
    await answer
      .clone()
      .json()
      .catch(() => null),
  );
  return answer;
}

// GraphiQL opens the first of the default tabs without its variables. On a later visit it brings
// back what it stored, and must not be told others.
const firstVisit = localStorage.getItem("graphiql:tabState") === null;

createRoot(document.getElementById("graphiql")!).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={examples}
    {...(firstVisit && { initialVariables: examples[0]!.variables })}
    defaultEditorToolsVisibility="variables"
    isHeadersEditorEnabled
  >
    <GraphiQL.Logo>Proofgraph</GraphiQL.Logo>
  </GraphiQL>,
);
