"""What `streamlit run` starts: the page, behind the check of who asks."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from polymodal.demo.loopback import LoopbackOnly

app = st.App(Path(__file__).with_name("page.py"), middleware=[Middleware(LoopbackOnly)])
