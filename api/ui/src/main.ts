/* Where the page begins. */
import { mount } from "svelte";
import App from "./shell/App.svelte";
import "./shell/page.css";

mount(App, { target: document.getElementById("page")! });
