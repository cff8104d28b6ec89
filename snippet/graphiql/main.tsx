/** GraphiQL with its editor, workers, fonts and examples, all served from this origin. */
import "./workers";
import "graphiql/style.css";
import "./main.css";
import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { type DocumentNode, Kind, type OperationDefinitionNode, parse } from "graphql";
import { createClient } from "graphql-ws";
import { createRoot } from "react-dom/client";
import { connectionParams, fillHeaders, fillVariables, remember } from "./autofill";
import { DemoOrder } from "./demo-order";
import { examples } from "./examples";

const url = new URL("/graphql", location.href).href;

const fetcher: Fetcher = (request, options) => {
  const documentAST = parse(request.query);
  const operation = selectOperation(documentAST, request.operationName);
  const variables = declaredVariables(operation, fillVariables(request.variables ?? {}));
  const headers = fillHeaders(options?.headers ?? {}, variables);
  const send = createGraphiQLFetcher({
    url,
    enableIncrementalDelivery: false,
    fetch: rememberingFetch,
    // A client for each operation: it connects with the credential of the operation's tab.
    wsClient: createClient({
      url: url.replace(/^http/, "ws"),
      connectionParams: connectionParams(headers),
    }),
  });
  const operationName = operation?.name?.value ?? null;
  return send({ ...request, operationName, variables }, { ...options, documentAST, headers });
};

/**
 * Returns the operation of that name, otherwise the first one.
 *
 * GraphiQL updates the name late: just after a change of tabs it still names the last tab's one.
 */
function selectOperation({ definitions }: DocumentNode, name: string | null | undefined) {
  const operations = definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION);
  return operations.find((one) => one.name?.value === name) ?? operations[0];
}

/** Returns only the variables that the operation declares: the operations of a tab share theirs. */
function declaredVariables(operation: OperationDefinitionNode | undefined, variables: object) {
  const names = operation?.variableDefinitions?.map((one) => one.variable.name.value) ?? [];
  return Object.fromEntries(Object.entries(variables).filter(([name]) => names.includes(name)));
}

async function rememberingFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init);
  remember(
    await response
      .clone()
      .json()
      .catch(() => null),
  );
  return response;
}

// GraphiQL opens the first default tab without its variables, so they are given separately. On a
// later visit GraphiQL restores its stored tabs, and `initialVariables` would overwrite theirs.
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
    <GraphiQL.Footer>
      <DemoOrder />
    </GraphiQL.Footer>
  </GraphiQL>,
);
