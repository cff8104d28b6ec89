/** The toast's styles, for a constructable sheet: a CSP that forbids inline styles allows it. */
export const css = `
:host{all:initial;display:contents}
.live{position:fixed;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.card{position:fixed;z-index:2147483000;bottom:max(16px,env(safe-area-inset-bottom));inset-inline-start:16px;
box-sizing:border-box;width:max-content;max-width:min(380px,calc(100vw - 32px));
display:grid;grid-template-columns:auto 1fr auto;align-items:center;gap:2px 12px;padding-block:14px;padding-inline:16px 8px;
font:14px/1.4 system-ui,sans-serif;color:#1a1d21;background:#fff;border:1px solid #0000001f;border-radius:14px;
box-shadow:0 1px 2px #0000000f,0 12px 32px -8px #00000033}
.mark{grid-row:1/3;width:34px;height:34px;border-radius:50%;background:#e2f5ea;color:#0b6b3a;display:grid;place-items:center}
.mark::before{content:"";width:6px;height:12px;margin-top:-4px;border:solid;border-width:0 2.5px 2.5px 0;transform:rotate(45deg)}
.text{align-self:end;font-weight:600;color:inherit;text-decoration:none;overflow-wrap:anywhere}
a.text::after{content:"";position:absolute;inset:0;border-radius:14px}
a.text:hover{text-decoration:underline}
time{grid-column:2;align-self:start;font-size:12.5px;color:#5b636d}
button{grid-area:1/3/3;position:relative;z-index:1;width:32px;height:32px;padding:0;border:0;border-radius:8px;
background:none;color:#5b636d;font:20px/1 system-ui,sans-serif;cursor:pointer}
button:hover{background:#0000000f;color:inherit}
a.text:focus-visible{outline:0}
a.text:focus-visible::after,button:focus-visible{outline:2px solid #1463ff;outline-offset:1px}
@media (prefers-color-scheme:dark){
.card{color:#f2f4f6;background:#1d2126;border-color:#ffffff24;box-shadow:0 12px 32px -8px #000000b3}
.mark{background:#123d28;color:#7fe0a8}
time,button{color:#aab2bb}
button:hover{background:#ffffff1f}
a.text:focus-visible::after,button:focus-visible{outline-color:#8ab4ff}}
@media (prefers-reduced-motion:no-preference){
.card{animation:in .35s cubic-bezier(.2,.9,.3,1.1)}
@keyframes in{from{opacity:0;transform:translateY(16px)}}}
@media print{.card{display:none}}
`.replace(/\n/g, "");
